// DCMH in parts: options, loss, training. Jiang and Li, "Deep Cross-Modal Hashing", CVPR 2017; constants of
// the authors' code. F, G [N, K]: last outputs of the image and the text network for every training pair, B
// [N, K]: codes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/models/detail/pair_training.hpp"
#include "core/torch.hpp"

namespace gauntlet::models {

struct DcmhConfig {
  static constexpr std::string_view kName = "dcmh";

  BackboneConfig backbone{.backbone_weights = {}, .backbone_md5 = {}, .backbone_frozen = false};
  std::int64_t hidden = 8192;
  double gamma = 1;
  double eta = 1;
  std::string balance_over = "training_set";
  RecipeConfig recipe{.epochs = 500,
                      .batch_size = 128,
                      .lr_image = 0.0316227766,
                      .lr_text = 0.0316227766,
                      .rate = {.schedule = "linear"},
                      .last_rate = 3.16227766e-5};

  static void fields(auto& self, auto& visit) {
    BackboneConfig::fields(self.backbone, visit);
    visit("hidden", self.hidden, {.doc = "Hidden width of the text network.", .min = 8, .max = 65536});
    visit("gamma", self.gamma, {.doc = "Weight of the quantisation loss.", .min = 0, .max = 1e6});
    visit("eta", self.eta, {.doc = "Weight of the bit balance loss.", .min = 0, .max = 1e6});
    visit(
        "balance_over", self.balance_over,
        {.doc = "Outputs whose sum the balance loss holds at zero: those of the whole training set as "
                "published, of which all but the batch's are up to an epoch old, or the batch's alone. The "
                "gradient of the former is about (training pairs / batch) times as large, more than networks "
                "that start from nothing can bear.",
         .choices = {"training_set", "batch"}});
    RecipeConfig::fields(self.recipe, visit);
  }
};

/// Terms of the loss of one network, scalars without weights, and their weighted sum divided by B * N.
struct DcmhLoss {
  torch::Tensor pairwise, quantisation, balance, total;
};

/// The loss of the network that gave `outputs` [B, K] for the items `rows`, against all outputs of the other
/// network:
///   sum_ij [log(1 + e^theta_ij) - S_ij theta_ij] + gamma ||B_rows - outputs||^2 + eta ||sum of its
///   outputs||^2,
/// theta = outputs other' / 2, S_ij = 1 where two items share a label. `outside` [K] is the sum of its
/// outputs for the items outside the batch. Gradients flow into `outputs` only.
[[nodiscard]] DcmhLoss dcmh_loss(const torch::Tensor& outputs, const torch::Tensor& outside,
                                 const torch::Tensor& other, const torch::Tensor& codes,
                                 const torch::Tensor& rows, const torch::Tensor& similar, double gamma,
                                 double eta);

/// The sum of the buffered outputs [N, K] of all items but `rows`, [K].
[[nodiscard]] torch::Tensor sum_outside(const torch::Tensor& buffer, const torch::Tensor& rows);

class DcmhTraining final : public PairTraining {
 public:
  DcmhTraining(const DcmhConfig& config, std::shared_ptr<PairNet> net, const TrainingSetup& setup);
  [[nodiscard]] LossTensors losses(const PairForward& pass) override;
  /// B = sign(F + G).
  void end_epoch() override;
  void visit_state(StateVisitor& visitor) override;

  torch::Tensor image_outputs, text_outputs;  ///< F, G; 0 for items without a label, which then repel nothing
  torch::Tensor codes;                        ///< B

 private:
  /// What the balance loss adds to the batch's outputs, [K].
  [[nodiscard]] torch::Tensor outside(const torch::Tensor& buffer, const torch::Tensor& rows) const;

  DcmhConfig config_;
  torch::Tensor labels_;
};

}  // namespace gauntlet::models
