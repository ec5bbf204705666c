// One optimiser on several ranks. Each rank could update all parameters by itself and get the same; where
// ranks see one another's memory, each updates its share of them and takes the rest from the others.
#pragma once

#include <memory>
#include <vector>

#include "core/collective/communicator.hpp"
#include "core/torch.hpp"

namespace gauntlet::collective {

/// Takes the steps of an optimiser whose parameters are the same on all ranks. Every rank makes one over the
/// same parameters and takes the same steps. Ranks on one machine share out an Adam (without amsgrad) of
/// parameters in host memory, as ZeRO's first stage does (Rajbhandari et al., SC 2020); others average
/// gradients by a GradientReducer and update everything. Both give the same bits with one thread a rank.
/// Thread safety: as the communicator's.
class ShardedOptimiser {
 public:
  /// The communicator outlives it.
  ShardedOptimiser(std::unique_ptr<torch::optim::Optimizer> optimiser, Communicator& ranks);
  ~ShardedOptimiser();
  ShardedOptimiser(const ShardedOptimiser&) = delete;
  ShardedOptimiser& operator=(const ShardedOptimiser&) = delete;

  /// Gradients of the loss, averaged over ranks as communicator.hpp says, and one step by them; parameters
  /// that the loss reaches on no rank stay as they are. The memory of a parameter stays where it was in the
  /// first step. What grad() holds afterwards is of no use. Throws CollectiveFailure.
  void step(const torch::Tensor& loss);

  /// Options, and the whole state on every rank between steps: to be saved, and to be put back.
  [[nodiscard]] torch::optim::Optimizer& optimiser() const { return *optimiser_; }

 private:
  class Shards;
  [[nodiscard]] std::vector<torch::Tensor> parameters() const;
  void prepare();

  std::unique_ptr<torch::optim::Optimizer> optimiser_;
  Communicator& ranks_;
  std::unique_ptr<Shards> shards_;            ///< from the first step on; null where ranks share nothing
  std::unique_ptr<GradientReducer> reducer_;  ///< where shards are null
};

}  // namespace gauntlet::collective
