#include "core/run/targets.hpp"

#include <algorithm>

namespace gauntlet::run {

Result<Targets> draw_targets(const data::PreparedSet& set, std::span<const std::int64_t> rows,
                             TargetDraw draw, std::int64_t min_items, std::uint64_t seed) {
  GAUNTLET_TRY(const data::DrawnTargets drawn, data::draw_target_items(set, rows, draw, min_items, seed));
  const auto n = static_cast<std::int64_t>(rows.size());
  Targets targets{torch::zeros({n, set.n_labels()}, torch::kUInt8), torch::zeros({n}, torch::kInt64)};
  std::ranges::copy(drawn.labels, targets.labels.data_ptr<std::uint8_t>());
  std::ranges::copy(drawn.items, targets.items.data_ptr<std::int64_t>());
  return targets;
}

}  // namespace gauntlet::run
