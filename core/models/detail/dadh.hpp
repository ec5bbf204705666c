// DADH in parts: options, networks, terms, training steps. Bai et al., "Deep Adversarial Discrete Hashing for
// Cross-Modal Retrieval", ICMR 2020; constants and step order follow the authors' code
// Zjut-MultimediaPlus/DADH. Symbols: v image, t text; B batch, F feature width, K code bits, C labels, N
// training pairs.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/collective/sharded_optimiser.hpp"
#include "core/models/backbone.hpp"
#include "core/models/detail/augment.hpp"
#include "core/models/detail/layers.hpp"
#include "core/models/detail/recipe.hpp"
#include "core/models/hashing_model.hpp"
#include "core/models/objectives.hpp"
#include "core/torch.hpp"

namespace gauntlet::models {

struct DadhConfig {
  BackboneConfig backbone;
  std::int64_t hidden = 8192;
  std::int64_t hidden_2 = 4096;
  std::int64_t feature_width = 2048;
  std::int64_t critic_hidden = 1024;
  std::int64_t critic_hidden_2 = 512;
  std::int64_t code_critic_hidden = 512;
  double dropout = 0;
  std::int64_t epochs = 300;
  std::int64_t batch_size = 128;
  AdamConfig adam{.lr = 5e-5, .weight_decay = 5e-4};
  AdamConfig d_adam{.lr = 5e-5, .beta1 = 0.5, .beta2 = 0.9, .weight_decay = 1e-4};
  RateConfig rate;
  double alpha = 10;
  double beta = 1.1;
  double gamma = 1;
  double margin = 0.4;
  double triplet_factor = 12.1;
  double penalty_weight = 10;
  double code_ridge = 1;
  double code_weight = 1e-5;
  Augmentation augmentation;

  static void fields(auto& self, auto& visit) {
    BackboneConfig::fields(self.backbone, visit);
    network_fields(self, visit);
    recipe_fields(self, visit);
    loss_fields(self, visit);
    Augmentation::fields(self.augmentation, visit);
  }

 private:
  static void network_fields(auto& self, auto& visit) {
    visit("hidden", self.hidden,
          {.doc = "Width of the modality networks' first layer.", .min = 8, .max = 65536});
    visit("hidden_2", self.hidden_2,
          {.doc = "Width of the modality networks' second layer.", .min = 8, .max = 65536});
    visit("feature_width", self.feature_width,
          {.doc = "Width F of the features, the modality networks' third layer.", .min = 8, .max = 65536});
    visit("critic_hidden", self.critic_hidden,
          {.doc = "Hidden units of the feature discriminator's first layer; the authors have F/2.",
           .min = 1,
           .max = 65536});
    visit("critic_hidden_2", self.critic_hidden_2,
          {.doc = "Hidden units of its second layer; the authors have F/4.", .min = 1, .max = 65536});
    visit("code_critic_hidden", self.code_critic_hidden,
          {.doc = "Hidden units of the code discriminator.", .min = 1, .max = 65536});
    visit("dropout", self.dropout,
          {.doc = "Share of each hidden layer's outputs dropped in training; the authors' code has 0.5 on "
                  "NUS-WIDE and 0 elsewhere.",
           .min = 0,
           .max = 0.95});
  }

  static void recipe_fields(auto& self, auto& visit) {
    visit("epochs", self.epochs, {.doc = "Passes over the training set.", .min = 1, .max = 100000});
    visit("batch_size", self.batch_size,
          {.doc = "Training pairs of the global batch; the triplet loss grows with its cube.",
           .min = 2,
           .max = 4096});
    AdamConfig::fields(self.adam, visit, "",
                       "everything but the discriminators; the authors have 1e-5 on NUS-WIDE");
    AdamConfig::fields(self.d_adam, visit, "d_", "both discriminators");
    RateConfig::fields(
        self.rate, visit,
        "Learning rate over time: step (x 0.8 after epochs 1, 101, 201, …, at least 1e-6) or poly "
        "(x (1 - step/steps)^0.9).",
        {"step", "poly"});
  }

  static void loss_fields(auto& self, auto& visit) {
    visit("alpha", self.alpha, {.doc = "Weight of the triplet loss.", .min = 0, .max = 1e6});
    visit("beta", self.beta,
          {.doc = "Weight of the quantisation loss; the authors' final code has 1.1, that of 2020 had 1.",
           .min = 0,
           .max = 1e6});
    visit("gamma", self.gamma,
          {.doc = "Weight of the adversarial losses, in the discriminators too.", .min = 0, .max = 1e6});
    visit("margin", self.margin,
          {.doc = "Margin of the triplet loss, a cosine distance.", .min = 0, .max = 2});
    visit("triplet_factor", self.triplet_factor,
          {.doc = "Factor c of the triplet loss; the authors' final code has 12.1, that of 2020 had 1.",
           .min = 0,
           .max = 1e6});
    visit("penalty_weight", self.penalty_weight,
          {.doc = "Weight of the discriminators' gradient penalties.", .min = 0, .max = 1e6});
    visit("code_ridge", self.code_ridge,
          {.doc = "Ridge lambda of the regression from labels to codes.", .min = 1e-9, .max = 1e6});
    visit("code_weight", self.code_weight,
          {.doc = "Weight mu of the networks' outputs in the code update; at 1e-5 they only break ties.",
           .min = 0,
           .max = 1e6});
  }
};

/// The part that encodes; saved as the model.
class DadhNet final : public HashingModel {
 public:
  DadhNet(const DadhConfig& config, const ModelShape& shape, std::shared_ptr<Backbone> trunk,
          collective::Communicator* communicator);
  torch::Tensor encode_image(const torch::Tensor& images) override;
  torch::Tensor encode_text(const torch::Tensor& text) override;
  [[nodiscard]] std::vector<torch::Tensor> backbone_parameters() override { return trunk_->parameters(); }
  /// [B, F], the output of the modality's network; draws (of the purposes tag, tag + 1, tag + 2) switch
  /// dropout on.
  [[nodiscard]] torch::Tensor features(Modality modality, const torch::Tensor& input,
                                       const RowDraws* draws = nullptr, std::uint64_t tag = 0);
  /// [B, F] → [B, K] in (-1,1).
  [[nodiscard]] torch::Tensor hash(Modality modality, const torch::Tensor& features);
  [[nodiscard]] std::int64_t code_bits() const { return code_bits_; }

 private:
  double dropout_;
  std::int64_t code_bits_;
  std::shared_ptr<Backbone> trunk_;
  ModalityMlp image_mlp_, text_mlp_;
  Head hash_v_, hash_t_;
};

/// The discriminators, [B, F] and [B, K] → [B, 1] logits; images are real, texts fake. Weights from He's
/// normal distribution, biases zero.
class DadhCriticsImpl : public torch::nn::Module {
 public:
  DadhCriticsImpl(const DadhConfig& config, std::int64_t code_bits);
  Perceptron D_f, D_h;
};
TORCH_MODULE(DadhCritics);

/// max(0, 1 - cos(a_i, g_j)): anchors a [A, K], targets g [B, K] → [A, B].
[[nodiscard]] torch::Tensor cosine_distances(const torch::Tensor& anchors, const torch::Tensor& targets);

/// What the labels of a batch say about the pairs of some of its rows, the anchors, with all; all of the
/// labels' type.
struct LabelOverlap {
  /// Of anchors [A, C] with a batch [B, C]; 0/1, no row of zeros.
  LabelOverlap(const torch::Tensor& anchors, const torch::Tensor& labels);
  torch::Tensor shared;   ///< r [A, B], labels in common
  torch::Tensor similar;  ///< S [A, B] 0/1
  torch::Tensor ideal;  ///< Z [A], discounted gain of the row's best order, sum_j (2^r(j) - 1) / log2(1 + j)
  torch::Tensor weights;  ///< w [A, B] = (2^r - 1) / Z; 0 where nothing is shared
};

/// T(a→g) without its factor c: sum over i, similar j and dissimilar l of w_ij max(0, d_ij - d_il + margin);
/// anchors a [A, K], targets g [B, K].
[[nodiscard]] torch::Tensor weighted_triplets(const torch::Tensor& anchors, const torch::Tensor& targets,
                                              const LabelOverlap& overlap, double margin);

/// The discrete code update: with training labels L [N, C] and codes B [N, K],
///   P = (L'L + ridge I)^-1 L'B,   B ← sign(L P + 1/2 weight (H^v + H^t)).
struct CodeUpdate {
  torch::Tensor projection;  ///< P [C, K]
  torch::Tensor relaxed;     ///< [N, K], what the sign is taken of
  torch::Tensor codes;       ///< [N, K] ±1
};
[[nodiscard]] CodeUpdate update_codes(const torch::Tensor& labels, const torch::Tensor& codes,
                                      const torch::Tensor& image, const torch::Tensor& text, double ridge,
                                      double weight);

/// A forward pass over this rank's b rows of a global batch of B, and what triplets take of all.
struct DadhForward {
  torch::Tensor feature_v, feature_t;    ///< f [b, F]
  torch::Tensor code_v, code_t;          ///< h [b, K]
  torch::Tensor second_code_t;           ///< of a second text pass, with a gradient to the hash layer only
  torch::Tensor labels;                  ///< [b, C]
  torch::Tensor rows;                    ///< [b] int64
  torch::Tensor all_code_v, all_code_t;  ///< [B, K], with the gradient of the ranks they came from
  torch::Tensor all_labels;              ///< [B, C]
};

/// Terms of L_G: the triplet terms with their factor c, the others without weights; scalars, whose means over
/// ranks are those of the global batch.
struct DadhLoss {
  torch::Tensor image_to_text, text_to_image, quantisation, feature_adversarial, code_adversarial, total;
};

/// The losses of both discriminators.
struct DadhCriticLosses {
  CriticLoss feature, code;
};

class DadhTraining final : public ModelTraining {
 public:
  /// Draws the discriminators' weights from torch's default generator.
  DadhTraining(const DadhConfig& config, std::shared_ptr<DadhNet> net, const TrainingSetup& setup);

  [[nodiscard]] std::int64_t n_epochs() const override { return config_.epochs; }
  [[nodiscard]] std::int64_t batch_size() const override { return config_.batch_size; }
  void begin(std::int64_t n_steps) override { clock_.n_steps = n_steps; }
  Losses step(const TrainingBatch& batch) override;
  [[nodiscard]] torch::Tensor objective(const TrainingBatch& batch) override;
  /// The discrete code update, from the relaxed codes of the epoch.
  void end_epoch() override;
  void visit_state(StateVisitor& visitor) override;
  [[nodiscard]] Rates learning_rates() const override {
    return {{"lr", learning_rate_of(generator_->optimiser())},
            {"d_lr", learning_rate_of(feature_critic_->optimiser())}};
  }

  // The parts of a step, in their order.
  [[nodiscard]] DadhForward forward(const TrainingBatch& batch);
  /// One step of D_f, mix [b, F], and of D_h, mix [b, K]; the mixes in [0,1] place the penalties' points.
  CriticLoss feature_critic_step(const DadhForward& pass, const torch::Tensor& mix);
  CriticLoss code_critic_step(const DadhForward& pass, const torch::Tensor& mix);
  /// One step of everything else, with the discriminators as they are now.
  DadhLoss generator_step(const DadhForward& pass);

  [[nodiscard]] CriticLoss feature_critic_loss(const DadhForward& pass, const torch::Tensor& mix);
  [[nodiscard]] CriticLoss code_critic_loss(const DadhForward& pass, const torch::Tensor& mix);
  [[nodiscard]] DadhLoss generator_loss(const DadhForward& pass);

  DadhCritics critics;
  torch::Tensor relaxed_image, relaxed_text;  ///< H^v, H^t [N, K]: last relaxed codes of every training pair
  torch::Tensor codes;                        ///< B [N, K] ±1

 private:
  /// Of a critic over own rows, the share of its loss over the global batch.
  [[nodiscard]] CriticLoss critic_share(Perceptron& critic, const torch::Tensor& real,
                                        const torch::Tensor& fake, const torch::Tensor& mix,
                                        std::int64_t n_rows) const;
  /// Of terms of own rows, [b, ...], this rank's share of their mean over the global batch of `n_rows`.
  [[nodiscard]] torch::Tensor share_of_mean(const torch::Tensor& terms, std::int64_t n_rows) const;
  [[nodiscard]] std::pair<DadhForward, DadhCriticLosses> forward_and_critic_steps(const TrainingBatch& batch);

  DadhConfig config_;
  std::shared_ptr<DadhNet> net_;
  TrainingSetup setup_;
  std::unique_ptr<collective::ShardedOptimiser> generator_, feature_critic_, code_critic_;
  TrainingClock clock_;
};

}  // namespace gauntlet::models
