// Which queries people look at, where they do not say.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/result.hpp"

namespace gauntlet::data {

/// The purpose (random.hpp) of the draw, so that heat maps and retrieval sheets of one cell show the same
/// queries, whatever its model, defense and attack.
inline constexpr const char* kShownQueries = "shown queries";

/// `n` of the rows without repetition, in their order; all of them where there are fewer.
[[nodiscard]] std::vector<std::int64_t> draw_queries(std::span<const std::int64_t> rows, std::size_t n,
                                                     std::uint64_t seed);

/// Where each wanted row stands in `rows`. Errors (kInvalid): one that is not there, with what is.
[[nodiscard]] Result<std::vector<std::int64_t>> positions_of(std::span<const std::int64_t> wanted,
                                                             std::span<const std::int64_t> rows);

}  // namespace gauntlet::data
