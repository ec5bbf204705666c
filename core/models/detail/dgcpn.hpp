// DGCPN in parts: options, target similarity, loss, training. Yu et al., "Deep Graph-neighbor Coherence
// Preserving Network for Unsupervised Cross-modal Hashing", AAAI 2021. Labels are not used: what is similar
// follows from features.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "core/models/detail/pair_training.hpp"
#include "core/torch.hpp"

namespace gauntlet::models {

struct DgcpnConfig {
  static constexpr std::string_view kName = "dgcpn";

  BackboneConfig backbone;
  std::int64_t hidden = 4096;
  double dropout = 0.5;
  double text_share = 0.01;
  double neighbour_share = 0.4;
  double neighbour_weight = 0.3;
  double neighbour_factor = 2;
  double pair_target = 1.5;
  RecipeConfig recipe{.epochs = 100,
                      .batch_size = 32,
                      .momentum = 0.9,
                      .lr_image = 0.005,
                      .lr_text = 0.005,
                      .weight_decay = 5e-4};

  static void fields(auto& self, auto& visit) {
    BackboneConfig::fields(self.backbone, visit);
    visit("hidden", self.hidden, {.doc = "Hidden width of both heads.", .min = 8, .max = 65536});
    visit("dropout", self.dropout,
          {.doc = "Share of their hidden units left out in training.", .min = 0, .max = 0.99});
    visit("text_share", self.text_share,
          {.doc = "Share of texts in the target similarity, pictures have the rest. The published 0.01 "
                  "trusts features of a "
                  "network trained on ImageNet. With backbone picto_cnn there are none, and pixels averaged "
                  "over an 8 x 8 "
                  "grid take their place, which say little of what a picture shows: use 1 there.",
           .min = 0,
           .max = 1});
    visit("neighbour_share", self.neighbour_share,
          {.doc = "Nearest items that count as neighbours, as a share of the training set (published: 2000 "
                  "of 5000).",
           .min = 1e-6,
           .max = 1});
    visit("neighbour_weight", self.neighbour_weight,
          {.doc = "Weight of the similarity of neighbourhoods; that of the items themselves has the rest.",
           .min = 0,
           .max = 1});
    visit(
        "neighbour_factor", self.neighbour_factor,
        {.doc =
             "Factor of neighbourhood similarity, times the number of neighbours (published: 4000 of 2000).",
         .min = 0,
         .max = 1e6});
    visit("pair_target", self.pair_target,
          {.doc = "What the cosine of an image and its text is pulled to; above 1, so the pull never ends.",
           .min = -2,
           .max = 10});
    RecipeConfig::fields(self.recipe, visit);
  }
};

/// Constants of the target similarity; see DgcpnConfig.
struct DgcpnGraph {
  double text_share, neighbour_share, neighbour_weight, neighbour_factor;
};

/// Target similarity of a set of items, from their features. With the rows of F_v and F_t scaled to length 1,
///   S_p = t F_t F_t' + (1 - t) F_v F_v',   R = S_p with the m largest of each row kept, the item itself left
///   out, rows scaled to sum 1,   S = 2 [(1 - w) S_p + w f m R R'] - 1,
/// t text_share, m = neighbour_share * N, w neighbour_weight, f neighbour_factor. S is made for the items
/// asked for; R [N, N] is kept.
class DgcpnSimilarity {
 public:
  /// image [N, F], text [N, D]: one of them may be undefined when its share is 0.
  DgcpnSimilarity(const torch::Tensor& image, const torch::Tensor& text, const DgcpnGraph& graph);
  /// S among the items `rows` [B]: [B, B].
  [[nodiscard]] torch::Tensor among(const torch::Tensor& rows) const;

 private:
  DgcpnGraph graph_;
  torch::Tensor features_;        // [N, F + D]: whose inner products are S_p
  torch::Tensor neighbourhoods_;  // R
  double n_neighbours_;
};

/// Terms without weights and their sum, scalars.
struct DgcpnLoss {
  torch::Tensor pairs, similarity, coherence, total;
};

/// With the rows of h^v, h^t [B, K] scaled to length 1, P^vt = h^v h^t' and so on, means over all B^2
/// entries:
///   pairs = mean (P^vt_ii - target)^2, similarity = sum over vv, vt, tt of mse(P, S) without diagonals,
///   coherence = mse(P^vt, P^vv) + mse(P^vt, P^tt) + mse(P^vv, P^tt) + mse(P^vt, P^vt').
[[nodiscard]] DgcpnLoss dgcpn_loss(const torch::Tensor& image, const torch::Tensor& text,
                                   const torch::Tensor& similarity, double pair_target);

/// Per batch three steps: both networks; the image network against the signs of the texts' codes; the text
/// network against the signs of the images' codes. The target needs the features of the whole training set,
/// which arrive batch by batch: in the first epoch each batch has the target of its own items, with
/// neighbours in the same proportion. Runs all epochs; the published run stops when retrieval with the query
/// set no longer improves, which would let the test set choose the model.
class DgcpnTraining final : public PairTraining {
 public:
  DgcpnTraining(const DgcpnConfig& config, std::shared_ptr<PairNet> net, const TrainingSetup& setup);
  Losses step(const TrainingBatch& batch) override;
  /// The losses of the three steps with the networks as they are: joint, image, text.
  [[nodiscard]] LossTensors losses(const PairForward& pass) override;
  [[nodiscard]] torch::Tensor objective(const TrainingBatch& batch) override;
  /// After the first: the target similarity of all items.
  void end_epoch() override;
  void visit_state(StateVisitor& visitor) override;

  torch::Tensor image_features,
      text_features;  ///< F_v [N, F], F_t [N, D]; zeros until visited, unused ones undefined

 private:
  /// Takes up the features of a batch in the first epoch, and finds the similarity of its items.
  void look_at(const TrainingBatch& batch);
  [[nodiscard]] torch::Tensor image_features_of(const torch::Tensor& images);

  DgcpnConfig config_;
  DgcpnGraph graph_;
  std::unique_ptr<DgcpnSimilarity> whole_;
  torch::Tensor similarity_;  // S of the batch
};

}  // namespace gauntlet::models
