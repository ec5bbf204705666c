// Which values of a list of parameters each rank of a gang updates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace gauntlet::collective {

/// Values [first, first + n) of a parameter, counted in the order of its memory.
struct ShardPiece {
  std::size_t parameter = 0;  ///< position in the list
  std::int64_t first = 0;
  std::int64_t n = 0;  ///< at least 1
  friend bool operator==(const ShardPiece&, const ShardPiece&) = default;
};

/// A parameter is cut at multiples of this only: whole vectors of every instruction set. So each value stays
/// in the vectors, or in the rest behind them, that it is in when nothing is cut; the two may round
/// otherwise.
inline constexpr std::int64_t kShardGrain = 64;

/// By rank, pieces of parameters with `n_values` values each; together they are all values once, in order.
/// Ranks get about the same work, counting the calls that a piece takes whatever its size.
[[nodiscard]] std::vector<std::vector<ShardPiece>> shard_parameters(std::span<const std::int64_t> n_values,
                                                                    std::int64_t world_size);

}  // namespace gauntlet::collective
