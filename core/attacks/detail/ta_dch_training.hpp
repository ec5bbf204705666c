// The two stages of TA-DCH's training, one step at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/attacks/detail/ta_dch_config.hpp"
#include "core/attacks/detail/ta_dch_generator.hpp"
#include "core/attacks/detail/ta_dch_prototype.hpp"
#include "core/collective/communicator.hpp"
#include "core/models/discriminators.hpp"
#include "core/models/state.hpp"
#include "core/torch.hpp"

namespace gauntlet::attacks::ta_dch {

using StepLosses = std::map<std::string, torch::Tensor>;

/// Stage 1: PrototypeNet learns the codes that the target gives to training items, and their labels.
class PrototypeTrainer {
 public:
  /// codes [N, K] ±1 of the attacked modality's training items, train_labels [N, C] 0/1. The learning rate
  /// falls to a tenth after half of the `n_steps`.
  PrototypeTrainer(const TaDchConfig& config, std::shared_ptr<PrototypeNet> net, torch::Tensor codes,
                   torch::Tensor train_labels, std::int64_t n_steps);

  /// One step of Adam on rows with labels [B, C] and text [B, D], B >= 2. Losses, unweighted means:
  /// classifier, similarity, quantisation; their weighted sum: total.
  StepLosses step(const torch::Tensor& labels, const torch::Tensor& text);
  [[nodiscard]] double learning_rate() const;
  void visit_state(models::StateVisitor& visitor);

 private:
  TaDchConfig config_;
  std::shared_ptr<PrototypeNet> net_;
  torch::Tensor codes_, train_labels_;
  torch::optim::Adam optimizer_;
  std::int64_t n_steps_, n_taken_ = 0;
};

/// Everyone in stage 2, in train mode, on one device, of one type.
struct Players {
  std::shared_ptr<Generator> generator;
  std::shared_ptr<models::Discriminator> discriminator;  ///< C + 1 logits
  /// Inputs in the generator's domain → relaxed codes [B, K] of the target; differentiable, gets no weight
  /// gradients.
  std::function<torch::Tensor(const torch::Tensor&)> encode;
  collective::Communicator* communicator = nullptr;
  double bound = 0;  ///< largest change of one value, in the generator's domain; 0 = none
};

/// This rank's rows of a global batch.
struct GeneratorBatch {
  torch::Tensor inputs;         ///< [b, …] clean, in the generator's domain
  torch::Tensor labels;         ///< [b, C]
  torch::Tensor feature;        ///< F of the targets
  torch::Tensor code;           ///< p of the targets, [b, K]
  torch::Tensor target_labels;  ///< [b, C]
  /// Ranks · (rows that count here) / (rows of the global batch): this rank's part of a mean over the global
  /// batch is the mean over its own rows times this.
  double share = 1;
};

/// Stage 2: generator against discriminator and target.
class GeneratorTrainer {
 public:
  GeneratorTrainer(const TaDchConfig& config, Players players);

  /// One step of G, before it one of D when `step_in_epoch` is a multiple of d_every. Losses, unweighted but
  /// with the rank's share: code, gan, rec, total; d_real, d_fake and their mean d when D takes a step.
  StepLosses step(const GeneratorBatch& batch, std::int64_t step_in_epoch);
  /// Generator and discriminator and what trains them.
  void visit_state(models::StateVisitor& visitor);

 private:
  [[nodiscard]] torch::Tensor logits(const torch::Tensor& input) const;
  void step_discriminator(const GeneratorBatch& batch, const torch::Tensor& adversarial, StepLosses& losses);

  TaDchConfig config_;
  Players players_;
  torch::optim::Adam generator_optimizer_, discriminator_optimizer_;
  std::unique_ptr<collective::GradientReducer> generator_reducer_, discriminator_reducer_;
};

/// `changed`, with no value farther than `bound` from that of `clean`; bound 0 means none.
[[nodiscard]] torch::Tensor within_bound(const torch::Tensor& changed, const torch::Tensor& clean,
                                         double bound);

/// loss_of(input), with its gradient for `input` and for nothing else it may depend on.
[[nodiscard]] torch::Tensor input_loss(const torch::Tensor& input,
                                       const std::function<torch::Tensor(const torch::Tensor&)>& loss_of);

}  // namespace gauntlet::attacks::ta_dch
