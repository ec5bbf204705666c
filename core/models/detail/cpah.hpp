// CPAH in parts: options, networks, losses, training steps. Xie et al., "Multi-Task Consistency-Preserving
// Adversarial Hashing for Cross-Modal Retrieval", IEEE TIP 2020; layer sizes and step order follow the public
// re-implementation comrados/cpah. Symbols: v image, t text; B batch, d hidden width, K code bits, C labels,
// N training pairs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/collective/sharded_optimiser.hpp"
#include "core/models/backbone.hpp"
#include "core/models/detail/augment.hpp"
#include "core/models/detail/layers.hpp"
#include "core/models/detail/recipe.hpp"
#include "core/models/hashing_model.hpp"
#include "core/models/objectives.hpp"
#include "core/torch.hpp"

namespace gauntlet::models {

struct CpahConfig {
  BackboneConfig backbone;
  std::int64_t hidden = 512;
  std::int64_t critic_hidden = 64;
  bool masked_codes = true;
  std::int64_t epochs = 100;
  std::int64_t batch_size = 256;
  AdamConfig adam{.lr = 1e-4, .weight_decay = 5e-4};
  AdamConfig d_adam{.lr = 1e-4, .beta1 = 0.5, .beta2 = 0.9, .weight_decay = 1e-4};
  RateConfig rate;
  double alpha = 0.1;
  double beta = 1;
  double adversarial_weight = 100;
  double penalty_weight = 10;
  std::string consistency = "recommended";
  Augmentation augmentation;

  static void fields(auto& self, auto& visit) {
    BackboneConfig::fields(self.backbone, visit);
    visit("hidden", self.hidden,
          {.doc = "Width d of the modality networks and features.", .min = 8, .max = 16384});
    visit("critic_hidden", self.critic_hidden,
          {.doc = "Hidden units of the feature discriminator and of the consistency classifier; the public "
                  "code has an eighth of its d.",
           .min = 1,
           .max = 16384});
    visit(
        "masked_codes", self.masked_codes,
        {.doc =
             "Hash the common (masked) part of a feature, as in training; false hashes the whole feature."});
    visit("epochs", self.epochs, {.doc = "Passes over the training set.", .min = 1, .max = 100000});
    visit("batch_size", self.batch_size,
          {.doc = "Training pairs of the global batch.", .min = 2, .max = 65536});
    AdamConfig::fields(self.adam, visit, "", "everything but the discriminator");
    AdamConfig::fields(self.d_adam, visit, "d_", "the feature discriminator");
    RateConfig::fields(
        self.rate, visit,
        "Learning rate over time: step (x 0.2 after every 30 epochs, at least 1e-6) or poly (x (1 "
        "- step/steps)^0.9).",
        {"step", "poly"});
    visit("alpha", self.alpha,
          {.doc = "Weight of the consistency and label classification losses.", .min = 0, .max = 1e6});
    visit("beta", self.beta, {.doc = "Weight of the quantisation loss.", .min = 0, .max = 1e6});
    visit("adversarial_weight", self.adversarial_weight,
          {.doc = "Weight of the adversarial loss.", .min = 0, .max = 1e6});
    visit("penalty_weight", self.penalty_weight,
          {.doc = "Weight of the discriminator's gradient penalty.", .min = 0, .max = 1e6});
    visit("consistency", self.consistency,
          {.doc = "Consistency loss on the classifier's logits (recommended) or, as the public code has it, "
                  "on the raw "
                  "features, which leaves that classifier untrained (released).",
           .choices = {"recommended", "released"}});
    Augmentation::fields(self.augmentation, visit);
  }
};

/// What one modality gives for a batch.
struct CpahParts {
  torch::Tensor feature;  ///< [B, d]
  torch::Tensor mask;     ///< [B, d] in (0,1)
  torch::Tensor common;   ///< feature * mask
  torch::Tensor own;      ///< feature * (1 - mask), private to the modality
  torch::Tensor code;     ///< [B, K] in (-1,1), hashed from the common part
};

/// The part that encodes; saved as the model.
class CpahNet final : public HashingModel {
 public:
  CpahNet(const CpahConfig& config, const ModelShape& shape, std::shared_ptr<Backbone> trunk,
          collective::Communicator* communicator);
  torch::Tensor encode_image(const torch::Tensor& images) override;
  torch::Tensor encode_text(const torch::Tensor& text) override;
  [[nodiscard]] std::vector<torch::Tensor> backbone_parameters() override { return trunk_->parameters(); }
  /// [B, d], the output of the modality's network.
  [[nodiscard]] torch::Tensor features(Modality modality, const torch::Tensor& input);
  /// Mask, parts and code of features.
  [[nodiscard]] CpahParts parts(Modality modality, const torch::Tensor& features);
  /// The code of the features at test time; `masked` as in training.
  [[nodiscard]] torch::Tensor hash(Modality modality, const torch::Tensor& features, bool masked);

 private:
  bool masked_codes_;
  std::shared_ptr<Backbone> trunk_;
  ModalityMlp image_mlp_, text_mlp_;
  Head mask_v_, mask_t_, hash_v_, hash_t_;
};

/// The parts that only training needs.
class CpahCriticsImpl : public torch::nn::Module {
 public:
  CpahCriticsImpl(const CpahConfig& config, std::int64_t n_labels);
  Perceptron D;    ///< feature discriminator: [B, d] → [B, 1] logit; images are real, texts fake
  Perceptron Cns;  ///< consistency classifier: [B, d] → [B, 3] logits: image-private, common, text-private
  Head cls_v, cls_t;  ///< label classifiers: [B, d] → [B, C] logits
};
TORCH_MODULE(CpahCritics);

/// Terms of Eqs. 6, 7, 8, 10, 11 without weights, and L_G; scalars, whose means over ranks are those of the
/// global batch.
struct GeneratorLoss {
  torch::Tensor adversarial, consistency, classification, pairwise, quantisation, total;
};

/// A forward pass over this rank's b rows of a global batch of B, and what the pairwise loss takes of all.
struct CpahForward {
  CpahParts image, text;
  torch::Tensor labels;          ///< [b, C]
  torch::Tensor rows;            ///< [b] int64
  torch::Tensor all_text_codes;  ///< [B, K], with the gradient of the ranks they came from
  torch::Tensor all_labels;      ///< [B, C]
};

class CpahTraining final : public ModelTraining {
 public:
  /// Draws the critics' weights from torch's default generator.
  CpahTraining(const CpahConfig& config, std::shared_ptr<CpahNet> net, const TrainingSetup& setup);

  [[nodiscard]] std::int64_t n_epochs() const override { return config_.epochs; }
  [[nodiscard]] std::int64_t batch_size() const override { return config_.batch_size; }
  void begin(std::int64_t n_steps) override { clock_.n_steps = n_steps; }
  Losses step(const TrainingBatch& batch) override;
  [[nodiscard]] torch::Tensor objective(const TrainingBatch& batch) override;
  [[nodiscard]] Rates learning_rates() const override {
    return {{"lr", learning_rate_of(generator_->optimiser())},
            {"d_lr", learning_rate_of(critic_->optimiser())}};
  }
  /// B = sign(H^v + H^t); rows no batch has visited yet keep their random code.
  void end_epoch() override;
  void visit_state(StateVisitor& visitor) override;

  // The three parts of a step, in their order.
  [[nodiscard]] CpahForward forward(const TrainingBatch& batch);
  /// One step of D on the detached common parts; mix [B, d] in [0,1] places the penalty's points.
  CriticLoss critic_step(const CpahForward& pass, const torch::Tensor& mix);
  /// One step of everything else, with D as it is now.
  GeneratorLoss generator_step(const CpahForward& pass);

  [[nodiscard]] CriticLoss critic_loss(const CpahForward& pass, const torch::Tensor& mix);
  [[nodiscard]] GeneratorLoss generator_loss(const CpahForward& pass);

  CpahCritics critics;
  torch::Tensor relaxed_image, relaxed_text;  ///< H^v, H^t [N, K]: last relaxed codes of every training pair
  torch::Tensor codes;                        ///< B [N, K] ±1

 private:
  /// Forward pass of the augmented batch and D's step.
  [[nodiscard]] std::pair<CpahForward, CriticLoss> forward_and_critic_step(const TrainingBatch& batch);
  [[nodiscard]] torch::Tensor consistency_loss(const CpahForward& pass);
  /// Of terms of own rows, [b, ...], this rank's share of their mean over the global batch of `n_rows`.
  [[nodiscard]] torch::Tensor share_of_mean(const torch::Tensor& terms, std::int64_t n_rows) const;

  CpahConfig config_;
  std::shared_ptr<CpahNet> net_;
  TrainingSetup setup_;
  std::unique_ptr<collective::ShardedOptimiser> generator_, critic_;
  TrainingClock clock_;
};

}  // namespace gauntlet::models
