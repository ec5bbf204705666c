// DCHUC in parts: options, unified codes, loss, training. Tu et al., "Deep Cross-Modal Hashing With Hashing
// Functions and Unified Hash Codes Jointly Learning", IEEE TKDE 2022. u, g: relaxed codes of images and
// texts; V [N, K]: unified codes of the training items; W [K, C] maps codes to labels; S: 1 where two items
// share a label, a negative number elsewhere.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "core/models/detail/pair_training.hpp"
#include "core/torch.hpp"

namespace gauntlet::models {

struct DchucConfig {
  static constexpr std::string_view kName = "dchuc";

  BackboneConfig backbone{
      .backbone = "alexnet", .backbone_weights = {}, .backbone_md5 = {}, .backbone_frozen = false};
  std::int64_t hidden = 10240;
  double dropout = 0.5;
  double gamma = 200;
  double alpha = 50;
  double mu = 50;
  double beta = 1;
  double eta = 50;
  RecipeConfig recipe{.epochs = 30,
                      .batch_size = 64,
                      .lr_image = 1e-4,
                      .lr_text = 4e-3,
                      .weight_decay = 5e-4,
                      .rate = {.schedule = "stage"},
                      .stage_epochs = 10,
                      .stage_factor = 1 / 1.5};

  static void fields(auto& self, auto& visit) {
    BackboneConfig::fields(self.backbone, visit);
    visit("hidden", self.hidden, {.doc = "Hidden width of the text network.", .min = 8, .max = 65536});
    visit("dropout", self.dropout,
          {.doc = "Share of its hidden units left out in training.", .min = 0, .max = 0.99});
    visit("gamma", self.gamma,
          {.doc = "Weight of the distance between a unified code and the mean of both relaxed codes.",
           .min = 0,
           .max = 1e6});
    visit("alpha", self.alpha,
          {.doc = "Weight of labels predicted from relaxed codes.", .min = 0, .max = 1e6});
    visit("mu", self.mu, {.doc = "Weight of similarities between images and texts.", .min = 0, .max = 1e6});
    visit("beta", self.beta, {.doc = "Weight of labels predicted from unified codes.", .min = 0, .max = 1e6});
    visit("eta", self.eta,
          {.doc = "Ridge of the label map W; above 0, so that W exists.", .min = 1e-9, .max = 1e6});
    RecipeConfig::fields(self.recipe, visit);
  }
};

/// Weights of the objective's terms; see DchucConfig.
struct DchucWeights {
  double gamma, alpha, mu, beta, eta;
};

/// S of a training set, never held as a whole. Items without a label have no similarity to anything: 0.
class DchucSimilarity {
 public:
  explicit DchucSimilarity(const torch::Tensor& labels);  ///< [N, C]
  /// S between items with `labels` [B, C] and every training item: [B, N].
  [[nodiscard]] torch::Tensor rows(const torch::Tensor& labels) const;
  /// S' U for U [N, K], zeros where an item does not take part: [N, K].
  [[nodiscard]] torch::Tensor transposed_product(const torch::Tensor& relaxed) const;
  /// Of dissimilar pairs: -(number of similar pairs / number of dissimilar pairs), over all labelled training
  /// items.
  [[nodiscard]] double dissimilar() const { return dissimilar_; }
  /// [N, 1]: 1 for items with a label.
  [[nodiscard]] const torch::Tensor& labelled() const { return labelled_; }

 private:
  torch::Tensor labels_, labelled_;
  double dissimilar_ = 0;
};

/// The relaxed codes that V and W are fitted to: [N, K], zeros for items not visited yet.
struct DchucRelaxed {
  torch::Tensor image, text;  ///< U, G
};

/// V after one pass over the bits, each bit minimising, with all others fixed,
///   ||U V' - K S||^2 + ||G V' - K S||^2 + gamma ||V - (U + G)/2||^2 (over visited items) + beta ||V W -
///   Y||^2: v_b = -sign(Q_b + 2 V_-b (U_-b' u_b + G_-b' g_b + beta W_-b w_b')), Q = -2 K S'(U + G) - gamma (U
///   + G) - 2 beta Y W'.
/// The released code counts the G and W parts of the bracket twice, which no longer minimises anything. Items
/// without a label stay 0.
[[nodiscard]] torch::Tensor dchuc_unified_codes(const torch::Tensor& codes, const DchucRelaxed& relaxed,
                                                const torch::Tensor& label_map, const torch::Tensor& labels,
                                                const DchucSimilarity& similarity,
                                                const DchucWeights& weights);

/// W = (alpha (U'U + G'G) + beta V'V + eta I)^-1 (alpha (U + G) + beta V)' Y, the least squares solution.
[[nodiscard]] torch::Tensor dchuc_label_map(const torch::Tensor& codes, const DchucRelaxed& relaxed,
                                            const torch::Tensor& labels, const DchucWeights& weights);

/// What the networks are fitted to: V, W, S of the batch [B, N] and within it [B, B], labels and rows of the
/// batch.
struct DchucTargets {
  torch::Tensor codes, label_map, similar, similar_in_batch, labels, rows;
};

/// Terms without weights; total = (sum with weights) / (N B).
struct DchucLoss {
  torch::Tensor similarity, quantisation, labels, pairs, total;
};

/// ||u V' - K S||^2 + ||g V' - K S||^2 + gamma ||V_rows - (u + g)/2||^2 + alpha (||u W - y||^2 + ||g W -
/// y||^2)
/// + mu ||u g' - K S_batch||^2. Its gradient for u is that of the image network's own loss, in which g is a
/// constant, and the other way round.
[[nodiscard]] DchucLoss dchuc_loss(const torch::Tensor& u, const torch::Tensor& g,
                                   const DchucTargets& targets, const DchucWeights& weights);

/// One epoch is one round: the published run draws 2000 items per round and passes over them three times;
/// here a round passes over the training set once. V covers the training items only; the retrieval set is
/// encoded by the networks.
class DchucTraining final : public PairTraining {
 public:
  DchucTraining(const DchucConfig& config, std::shared_ptr<PairNet> net, const TrainingSetup& setup);
  [[nodiscard]] LossTensors losses(const PairForward& pass) override;
  /// V, then W.
  void end_epoch() override;
  void visit_state(StateVisitor& visitor) override;

  DchucRelaxed relaxed;
  torch::Tensor codes;      ///< V: ±1, random signs at first; 0 for items without a label
  torch::Tensor label_map;  ///< W

 private:
  DchucWeights weights_;
  torch::Tensor labels_;
  DchucSimilarity similarity_;
};

}  // namespace gauntlet::models
