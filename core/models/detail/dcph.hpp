// DCPH in parts: options, class proxies, loss, training. Tu et al., "Deep Cross-modal Proxy Hashing", IEEE
// TKDE 2023; constants of a public port of the authors' code.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "core/models/detail/pair_training.hpp"
#include "core/torch.hpp"

namespace gauntlet::models {

struct DcphConfig {
  static constexpr std::string_view kName = "dcph";

  BackboneConfig backbone{
      .backbone = "alexnet", .backbone_weights = {}, .backbone_md5 = {}, .backbone_frozen = false};
  std::int64_t hidden = 8192;
  double scale = 0.3;
  double margin = 0.3;
  double cross_weight = 0.1;
  double quantisation_weight = 0.1;
  std::int64_t proxy_hidden = 4096;
  std::int64_t proxy_steps = 2000;
  std::int64_t proxy_patience = 100;
  double proxy_lr = 1e-3;
  double proxy_balance = 0.2;
  double proxy_quantisation = 0.2;
  RecipeConfig recipe{.epochs = 60,  // 12 to 120 in the port
                      .batch_size = 40,
                      .lr_image = 1.2e-3,
                      .lr_text = 8e-3,
                      .weight_decay = 1e-5};

  static void fields(auto& self, auto& visit) {
    BackboneConfig::fields(self.backbone, visit);
    visit("hidden", self.hidden, {.doc = "Hidden width of the text network.", .min = 8, .max = 65536});
    visit("scale", self.scale, {.doc = "Factor γ of inner products with proxies.", .min = 0, .max = 100});
    visit("margin", self.margin,
          {.doc = "Margin σ of own classes, per bit: an inner product counts as margin * bits less.",
           .min = 0,
           .max = 2});
    visit("cross_weight", self.cross_weight,
          {.doc = "Weight ρ of the term against the other modality's code.", .min = 0, .max = 1e6});
    visit("quantisation_weight", self.quantisation_weight,
          {.doc = "Weight λ of the quantisation loss.", .min = 0, .max = 1e6});
    visit("proxy_hidden", self.proxy_hidden,
          {.doc = "Hidden width of the class proxy network.", .min = 8, .max = 65536});
    visit("proxy_steps", self.proxy_steps,
          {.doc = "Most steps of the class proxy network, each over all classes.", .min = 1, .max = 1e6});
    visit("proxy_patience", self.proxy_patience,
          {.doc = "Steps without a changed sign after which the proxies count as settled. Not published.",
           .min = 1,
           .max = 1e6});
    visit("proxy_lr", self.proxy_lr,
          {.doc = "Learning rate of the class proxy network (Adam). Not published.", .min = 0, .max = 1});
    visit("proxy_balance", self.proxy_balance,
          {.doc = "Weight of the proxies' bit balance; not published, DAPH's value.", .min = 0, .max = 1e6});
    visit("proxy_quantisation", self.proxy_quantisation,
          {.doc = "Weight of the proxies' quantisation loss; not published, DAPH's value.",
           .min = 0,
           .max = 1e6});
    RecipeConfig::fields(self.recipe, visit);
  }
};

/// One-hot class → Linear, ReLU, batch normalisation, Linear, tanh.
class ClassProxyNetImpl : public torch::nn::Module {
 public:
  ClassProxyNetImpl(std::int64_t n_labels, std::int64_t hidden, std::int64_t n_bits);
  /// The codes of all classes, [C, K] in (-1,1).
  torch::Tensor forward();

 private:
  torch::nn::Linear fc1_, fc2_;
  torch::nn::BatchNorm1d bn_;
};
TORCH_MODULE(ClassProxyNet);

/// With p_c the rows of `proxies` [C, K] scaled to length 1 (the port lacks this loss; DAPH's terms stand in
/// for it):
///   sum_cc' max(0, p_c·p_c' - [c = c'])^2 + quantisation * sum_c (p_c·sign(p_c) / sqrt(K) - 1)^2
///   + balance * ||sum_c p_c||^2.
[[nodiscard]] torch::Tensor class_proxy_loss(const torch::Tensor& proxies, double quantisation,
                                             double balance);

/// Terms without weights and their weighted sum, scalars.
struct DcphLoss {
  torch::Tensor own, cross, quantisation, total;
};

/// Constants of the loss.
struct DcphWeights {
  double scale, margin;  ///< margin over the whole code: σ * K
  double cross, quantisation;
};

/// The loss of relaxed codes h [B, K] with labels [B, C], class proxies p [C, K], codes b [B, K], and signs
/// of the paired codes of the other modality, o [B, K]:
///   own = -mean_i log(num_i / den_i), cross = -mean_i log(num_i / den'_i), quantisation = mean_i ||b_i -
///   h_i||^2, num_i = e^{γ (mean over own classes of h_i·p_c - σ)}, den_i = num_i + sum over other classes of
///   e^{γ h_i·p_c} + |y_i|,
/// den'_i = den_i with o_i in the place of h_i, a constant.
[[nodiscard]] DcphLoss dcph_loss(const torch::Tensor& h, const torch::Tensor& o, const torch::Tensor& labels,
                                 const torch::Tensor& proxies, const torch::Tensor& codes,
                                 const DcphWeights& weights);

class DcphTraining final : public PairTraining {
 public:
  /// Trains the class proxies, from one-hot classes alone.
  DcphTraining(const DcphConfig& config, std::shared_ptr<PairNet> net, const TrainingSetup& setup);
  [[nodiscard]] LossTensors losses(const PairForward& pass) override;
  /// b = sign(H^v + H^t); rows no batch has visited yet keep their random code.
  void end_epoch() override;
  void visit_state(StateVisitor& visitor) override;

  torch::Tensor proxies;                      ///< [C, K] ±1
  torch::Tensor relaxed_image, relaxed_text;  ///< H^v, H^t [N, K]; zeros until visited
  /// [N, K] ±1. Random at first: signs of untrained networks, which are much the same for all items, would
  /// pull every output to one code before anything is learned.
  torch::Tensor codes;

 private:
  DcphConfig config_;
};

}  // namespace gauntlet::models
