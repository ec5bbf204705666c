// Stage 1 of EQB2A: what ranked lists teach, and two networks that learn to rank as the target does.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "core/attacks/detail/eqb2a_config.hpp"
#include "core/attacks/detail/eqb2a_losses.hpp"
#include "core/models/backbone.hpp"
#include "core/models/state.hpp"
#include "core/registry/entry.hpp"
#include "core/torch.hpp"

namespace gauntlet::attacks::eqb2a {

/// What is kept of the ranked lists of Q queries; all are positions in the training set, int64.
struct RankedSample {
  torch::Tensor query;   ///< [Q]
  torch::Tensor near;    ///< [Q, n_near] the nearest items
  torch::Tensor spread;  ///< [Q, n_spread] items at even distances from the nearest to the farthest
};

/// Positions floor(i (n_items - 1) / (n_spread - 1)), i = 0 .. n_spread - 1. n_spread >= 2.
[[nodiscard]] torch::Tensor spread_positions(std::int64_t n_items, std::int64_t n_spread);
/// `lists` [Q, N]: items, nearest first. N >= n_near.
[[nodiscard]] RankedSample sample_of(const torch::Tensor& query, const torch::Tensor& lists,
                                     std::int64_t n_near, std::int64_t n_spread);

/// Every pair i < j of spread items per query: [Q P, 4] int64 with columns query, nearer item i, farther item
/// j, j - i.
[[nodiscard]] torch::Tensor rank_tuples(const RankedSample& sample);

/// SIM, the image knockoff: backbone → FC, ReLU, dropout, FC, tanh. The published backbone is a frozen
/// ResNet-50.
class ImageKnockoff : public torch::nn::Module {
 public:
  ImageKnockoff(std::shared_ptr<models::Backbone> backbone, std::int64_t hidden, std::int64_t code_bits,
                double dropout);
  /// [B, 3, H, W] in [0,1], or the backbone's features [B, F] → [B, K].
  torch::Tensor forward(const torch::Tensor& input);
  [[nodiscard]] models::Backbone& backbone() { return *backbone_; }

 private:
  double dropout_;
  std::shared_ptr<models::Backbone> backbone_;
  torch::nn::Linear fc1_, fc2_;
};

/// STM, the text knockoff: FC, ReLU, FC, ReLU, dropout, FC, tanh.
class TextKnockoff : public torch::nn::Module {
 public:
  TextKnockoff(std::int64_t text_dim, std::int64_t hidden, std::int64_t code_bits, double dropout);
  torch::Tensor forward(const torch::Tensor& text);  ///< [B, D] → [B, K]

 private:
  double dropout_;
  torch::nn::Linear fc1_, fc2_, fc3_;
};

/// Whether the backbone gives the same features in every epoch, so that they need computing once: it is
/// frozen and collects no batch statistics.
[[nodiscard]] bool has_constant_features(const models::Backbone& backbone, const Config& config);

struct Knockoffs {
  std::shared_ptr<ImageKnockoff> image;
  std::shared_ptr<TextKnockoff> text;
};

/// Inputs of one modality at positions [B] of the training set, as the knockoffs take them.
using Items = std::function<torch::Tensor(Modality modality, const torch::Tensor& positions)>;

class KnockoffTrainer {
 public:
  /// Trains what requires a gradient: a frozen backbone keeps its weights. The networks' modes are the
  /// caller's.
  KnockoffTrainer(const Config& config, Knockoffs knockoffs, Items items);

  /// One Adam step of both networks on tuples [B, 4] of rank_tuples. Losses: rank_*, balance_*,
  /// quantisation_* with * = text (text queries) or image, and total. The image knockoff runs on item i, item
  /// j, then on the image queries, which is the order in which its batch norms see them.
  StepLosses step(const torch::Tensor& text_tuples, const torch::Tensor& image_tuples);
  void visit_state(models::StateVisitor& visitor);  ///< of the optimisers; networks are the caller's

 private:
  [[nodiscard]] torch::Tensor codes(Modality modality, const torch::Tensor& positions) const;
  torch::Tensor objective(Modality asked, const torch::Tensor& tuples, StepLosses& losses) const;

  Config config_;
  Knockoffs knockoffs_;
  Items items_;
  torch::optim::Adam text_optimizer_, image_optimizer_;
};

}  // namespace gauntlet::attacks::eqb2a
