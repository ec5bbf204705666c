// Which retrieval item each query of a targeted attack is to be taken for.
#pragma once

#include <cstdint>
#include <span>

#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "core/data/prepared_set.hpp"
#include "core/data/target_draw.hpp"
#include "core/torch.hpp"

namespace gauntlet::run {

using data::target_draw_from;
using data::TargetDraw;

struct Targets {
  torch::Tensor labels;  ///< [n, C] uint8
  torch::Tensor items;   ///< [n] int64 dataset rows
};

/// One target for each query row, from a stream of (seed, row): the same for every attack, model and defense
/// that draws in the same way. `min_items` is of kFrequent. Errors (kInvalid): a query for which the
/// retrieval set has no such item.
[[nodiscard]] Result<Targets> draw_targets(const data::PreparedSet& set, std::span<const std::int64_t> rows,
                                           TargetDraw draw, std::int64_t min_items, std::uint64_t seed);

}  // namespace gauntlet::run
