// What the ranks of one attempt say to each other. Models, attacks and defenses know this seam and no library
// behind it.
//
// Convention for gradients: every rank computes the loss of the *global* batch (outputs gathered with
// gather_rows), or its share of it (global_mean); the reducer averages parameter gradients over ranks. Then
// world size 1 and N take the same steps. Thread safety: one per rank process, used from its main thread.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/torch.hpp"

namespace gauntlet::collective {

/// Thrown by the operations below when another rank is gone or too late; it crosses torch's backward and
/// becomes kCollective where a job's exceptions become Errors.
class CollectiveFailure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Averages gradients of a fixed set of parameters over ranks during backward.
class GradientReducer {
 public:
  virtual ~GradientReducer() = default;
  /// loss.backward() with the gradients of the parameters averaged over ranks when it returns. Parameters the
  /// loss does not reach keep their gradient. While several reducers exist, a backward may reach the
  /// parameters of its own reducer only; others have requires_grad off.
  virtual void backward(const torch::Tensor& loss) = 0;
};

class Communicator {
 public:
  virtual ~Communicator() = default;
  [[nodiscard]] virtual std::int64_t rank() const = 0;
  [[nodiscard]] virtual std::int64_t world_size() const = 0;
  /// Sum over ranks, in place, without gradient.
  virtual void all_reduce_sum_(torch::Tensor& tensor) = 0;
  /// Sum over ranks, differentiable (gradients are summed over ranks too).
  [[nodiscard]] virtual torch::Tensor all_reduce_sum(const torch::Tensor& tensor) = 0;
  /// Rows of all ranks in rank order, differentiable (each rank gets the sum of the gradients for its own
  /// rows); ranks may hold different numbers of rows.
  [[nodiscard]] virtual torch::Tensor gather_rows(const torch::Tensor& local) = 0;
  virtual void broadcast_(torch::Tensor& tensor) = 0;  ///< from rank 0
  virtual void barrier() = 0;
  [[nodiscard]] virtual std::unique_ptr<GradientReducer> make_reducer(
      std::vector<torch::Tensor> parameters) = 0;
};

/// The communicator of a lone process: nothing to send.
[[nodiscard]] std::unique_ptr<Communicator> make_solo_communicator();

/// Joins `world_size` processes through a rendezvous file over Gloo. Errors: kCollective, kTimedOut.
[[nodiscard]] Result<std::unique_ptr<Communicator>> make_gloo_communicator(const std::string& rendezvous_file,
                                                                           std::int64_t rank,
                                                                           std::int64_t world_size,
                                                                           int timeout_s);

/// Batch normalisation over the global batch. With world size 1 it is torch's own; otherwise means and
/// variances are summed over ranks (differentiably). Parameters and buffers are named as torch names them:
/// weight, bias, running_mean, running_var. Input [B, C] or [B, C, H, W]; eps 1e-5, momentum 0.1, unbiased
/// variance in the running value.
class SyncBatchNormImpl : public torch::nn::Module {
 public:
  SyncBatchNormImpl(std::int64_t n_channels, Communicator* communicator);
  torch::Tensor forward(const torch::Tensor& input);
  torch::Tensor weight, bias, running_mean, running_var;

 private:
  Communicator* communicator_;  // outlives the module
};
TORCH_MODULE(SyncBatchNorm);

}  // namespace gauntlet::collective
