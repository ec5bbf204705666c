#include "core/collective/detail/parameter_shards.hpp"

#include <algorithm>

namespace gauntlet::collective {
namespace {

/// Values whose update takes as long as the calls of a piece do.
constexpr std::int64_t kCallsInValues = 8192;

/// Where to cut a parameter of `n` values so that about `wanted` of them lie before: nowhere near its ends,
/// since that would cost the calls of one more piece.
std::int64_t cut_at(std::int64_t wanted, std::int64_t n) {
  const std::int64_t cut = wanted / kShardGrain * kShardGrain;
  if (cut < kCallsInValues / 2) return 0;
  return cut > n - kCallsInValues / 2 ? n : cut;
}

}  // namespace

std::vector<std::vector<ShardPiece>> shard_parameters(std::span<const std::int64_t> n_values,
                                                      std::int64_t world_size) {
  std::int64_t work = 0;
  for (const std::int64_t n : n_values) work += n + kCallsInValues;
  std::vector<std::vector<ShardPiece>> shards(static_cast<std::size_t>(world_size));
  std::int64_t rank = 0, done = 0;  // work of the parameters before
  const auto end_of_rank = [&] { return work / world_size * (rank + 1); };
  for (std::size_t parameter = 0; parameter < n_values.size(); ++parameter) {
    const std::int64_t n = n_values[parameter];
    std::int64_t first = 0;
    const auto give = [&](std::int64_t end) {
      if (end > first) shards[static_cast<std::size_t>(rank)].push_back({parameter, first, end - first});
      first = std::max(first, end);
    };
    while (rank + 1 < world_size && end_of_rank() < done + n + kCallsInValues) {
      give(cut_at(end_of_rank() - done - kCallsInValues / 2, n));
      ++rank;
    }
    give(n);
    done += n + kCallsInValues;
  }
  return shards;
}

}  // namespace gauntlet::collective
