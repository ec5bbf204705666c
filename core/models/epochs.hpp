// The bookkeeping of a training run over rows in memory, which attacks and defenses share: order of rows,
// mean losses.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/collective/communicator.hpp"
#include "core/models/hashing_model.hpp"
#include "core/torch.hpp"

namespace gauntlet::models {

/// 0 .. n-1 in the order of one epoch. `purpose` keeps runs with one seed apart.
[[nodiscard]] std::vector<std::int64_t> shuffled_rows(std::int64_t n, std::uint64_t seed,
                                                      std::uint64_t purpose, std::int64_t epoch);

/// This rank's consecutive share of a global batch of `size` rows: [first, last).
struct RankShare {
  std::int64_t first = 0, last = 0;
};
[[nodiscard]] RankShare share_of_rank(std::int64_t size, const collective::Communicator& communicator);

/// Stored inputs (uint8 pictures 0..255 or texts 0/1, or floating) of the given rows as a model takes them:
/// pictures in [0,1], channels-last memory.
[[nodiscard]] torch::Tensor rows_as_inputs(const torch::Tensor& stored, std::span<const std::int64_t> rows,
                                           const torch::TensorOptions& options);

/// Sums of the steps' losses, averaged over steps and ranks at the end of an epoch.
class EpochLosses {
 public:
  void add(const std::map<std::string, torch::Tensor>& losses);  ///< scalars, detached or not
  [[nodiscard]] Losses means(collective::Communicator& communicator) const;
  /// The first step, from 1, at which any rank had a loss that is not finite; 0 without one. Every rank asks.
  [[nodiscard]] std::int64_t first_bad_step(collective::Communicator& communicator) const;

 private:
  std::map<std::string, std::pair<torch::Tensor, std::int64_t>> sums_;
  std::vector<torch::Tensor> finite_;  // per step: whether all its losses are
};

/// Adds an epoch's means to curves that grow by one value per epoch.
void add_to_curves(std::map<std::string, std::vector<float>>& curves, const Losses& means);

}  // namespace gauntlet::models
