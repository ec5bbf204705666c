#include "core/data/query_draw.hpp"

#include <algorithm>

#include "core/base/random.hpp"

namespace gauntlet::data {

std::vector<std::int64_t> draw_queries(std::span<const std::int64_t> rows, std::size_t n,
                                       std::uint64_t seed) {
  std::vector<std::int64_t> left(rows.begin(), rows.end());
  n = std::min(n, left.size());
  RandomStream stream(seed);
  for (std::size_t at = 0; at < n; ++at) {
    const std::size_t other = at + stream.below(static_cast<std::uint32_t>(left.size() - at));
    std::swap(left[at], left[other]);
  }
  left.resize(n);
  std::ranges::sort(left);
  return left;
}

Result<std::vector<std::int64_t>> positions_of(std::span<const std::int64_t> wanted,
                                               std::span<const std::int64_t> rows) {
  std::vector<std::int64_t> positions;
  for (const std::int64_t row : wanted) {
    const auto found = std::ranges::find(rows, row);
    if (found == rows.end()) {
      if (rows.empty())
        return fail(ErrorCode::kInvalid, "row {} is no query of the set, which has none", row);
      return fail(ErrorCode::kInvalid, "row {} is no query of the set; its {} queries lie in rows {} to {}",
                  row, rows.size(), std::ranges::min(rows), std::ranges::max(rows));
    }
    positions.push_back(found - rows.begin());
  }
  return positions;
}

}  // namespace gauntlet::data
