// A target model of two separate networks, one per modality, that end in a small head: DCMH, DCPH, DCHUC,
// DGCPN.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/models/backbone.hpp"
#include "core/models/detail/row_draws.hpp"
#include "core/models/hashing_model.hpp"
#include "core/torch.hpp"

namespace gauntlet::models {

struct HashHeadLayout {
  std::int64_t from = 0;
  std::int64_t hidden = 0;  ///< 0: no hidden layer
  std::int64_t to = 0;
  double dropout = 0;  ///< share of hidden units that training leaves out, in [0, 1)
};

/// Linear from → to, or Linear from → hidden, ReLU, dropout, Linear hidden → to. Layers are named "hidden"
/// and "out".
class HashHeadImpl : public torch::nn::Module {
 public:
  explicit HashHeadImpl(const HashHeadLayout& layout);
  /// [B, from] → [B, to]; hidden units are dropped where draws are given, by the purpose `tag`.
  torch::Tensor forward(const torch::Tensor& input, const RowDraws* draws = nullptr, std::uint64_t tag = 0);
  [[nodiscard]] const HashHeadLayout& layout() const { return layout_; }
  /// Weights and biases of every layer from N(0, deviation²).
  void draw_normal(double deviation);

  torch::nn::Linear hidden = nullptr;
  torch::nn::Linear out = nullptr;

 private:
  HashHeadLayout layout_;
};
TORCH_MODULE(HashHead);

/// Codes are tanh of the heads' outputs. Encoding never drops units, in train mode neither: training brings
/// the draws.
class PairNet final : public HashingModel {
 public:
  PairNet(std::shared_ptr<Backbone> trunk, const HashHead& image, const HashHead& text);
  torch::Tensor encode_image(const torch::Tensor& images) override {
    return torch::tanh(outputs(Modality::kImage, images));
  }
  torch::Tensor encode_text(const torch::Tensor& text) override {
    return torch::tanh(outputs(Modality::kText, text));
  }
  [[nodiscard]] std::vector<torch::Tensor> backbone_parameters() override { return trunk->parameters(); }
  /// [B, K] before tanh; draws as in HashHead.
  [[nodiscard]] torch::Tensor outputs(Modality modality, const torch::Tensor& input,
                                      const RowDraws* draws = nullptr);
  [[nodiscard]] HashHead& head(Modality modality) {
    return modality == Modality::kImage ? image_head : text_head;
  }
  /// What training changes: trunk (unless frozen) and head of the modality.
  [[nodiscard]] std::vector<torch::Tensor> trained_parameters(Modality modality);

  std::shared_ptr<Backbone> trunk;
  HashHead image_head, text_head;
};

}  // namespace gauntlet::models
