// Prototype codes: a network that learns, for a target label vector, the code that items with these labels
// have. Wang et al., "Targeted Attack and Defense for Deep Hashing" (SIGIR 2021). The attack `tha` and the
// defense `atrdh` share it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/models/state.hpp"
#include "core/torch.hpp"

namespace gauntlet::attacks {

/// [B, C] label vectors → prototypes [B, K] in (-1,1): linear layers C → hidden → middle → K with one ReLU,
/// after the first, as published.
class PrototypeNetImpl : public torch::nn::Module {
 public:
  PrototypeNetImpl(std::int64_t n_labels, std::int64_t hidden, std::int64_t middle, std::int64_t n_bits);
  torch::Tensor forward(const torch::Tensor& labels);

 private:
  torch::nn::Linear fc1_, fc2_, fc3_;
};
TORCH_MODULE(PrototypeNet);

/// Which form of the prototype loss.
struct PrototypeForm {
  /// Only pairs whose training index is above the batch index, as released (a triangular mask, apparently by
  /// accident); otherwise all pairs.
  bool above_diagonal = false;
  bool softplus = false;  ///< log(1 + e^x) around the bracket, so that it is bounded below by 0
};

struct PrototypeLoss {
  torch::Tensor similarity;  ///< (1/B) [LSE over unrelated pairs of a⁻σ + LSE over related ones of -a⁺σ]
  torch::Tensor quantisation;  ///< 1/(10⁴ B) sum (sgn p - p)²
  [[nodiscard]] torch::Tensor total() const { return similarity + quantisation; }
};

/// The weighted circle loss of prototypes p [B, K] of target_labels [B, C] against training codes; σ_ij =
/// p_i·b_j / K, a± = max(0, 2 ∓ σ) without gradient. `codes`: one or several sets [N, K] for the same
/// train_labels [N, C], whose pairs are united. A kind of pairs that does not occur contributes 0.
[[nodiscard]] PrototypeLoss prototype_loss(const torch::Tensor& p, const torch::Tensor& target_labels,
                                           const std::vector<torch::Tensor>& codes,
                                           const torch::Tensor& train_labels, const PrototypeForm& form);

/// A prototype network and its optimiser (Adam).
class PrototypeLearner {
 public:
  PrototypeLearner(PrototypeNet net, const PrototypeForm& form, double lr, double beta1);
  PrototypeLearner(PrototypeNet net, const PrototypeForm& form, const torch::optim::AdamOptions& adam);

  struct Step {
    torch::Tensor p;  ///< [B, K] from before the step, without gradient
    PrototypeLoss loss;
  };
  Step step(const torch::Tensor& target_labels, const std::vector<torch::Tensor>& codes,
            const torch::Tensor& train_labels);
  void set_learning_rate(double lr);
  void visit_state(models::StateVisitor& visitor);
  [[nodiscard]] const PrototypeNet& net() const { return net_; }

 private:
  PrototypeNet net_;
  PrototypeForm form_;
  torch::optim::Adam optimiser_;
};

/// The label vectors that occur, each once, without the empty one: [n, C] → [m, C].
[[nodiscard]] torch::Tensor distinct_label_vectors(const torch::Tensor& labels);

/// `n` rows of `vectors`, uniform and with replacement, from the stream of (seed, step): the same on every
/// rank.
[[nodiscard]] torch::Tensor drawn_label_vectors(const torch::Tensor& vectors, std::int64_t n,
                                                std::uint64_t seed, std::int64_t step);

}  // namespace gauntlet::attacks
