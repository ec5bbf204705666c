// PrototypeNet of TA-DCH: what a retrieval item with given labels and text looks like to the target model, as
// a feature map for the generator and as a code.
#pragma once

#include <cstdint>
#include <memory>

#include "core/models/precision.hpp"
#include "core/torch.hpp"

namespace gauntlet::attacks::ta_dch {

/// Sizes of PrototypeNet. `side` is that of the feature map F; 16 belongs to pictures of 224 px.
struct PrototypeLayout {
  std::int64_t n_labels = 0, text_dim = 0, code_bits = 0;
  std::int64_t side = 16;
  std::int64_t hidden = 4096;     ///< outer fully connected layers
  std::int64_t map = 16;          ///< channels of the map they make, side 2 · `side`
  std::int64_t middle = 32;       ///< channels after the first convolution
  std::int64_t feature = 64;      ///< channels of F
  std::int64_t squeeze = 16;      ///< channels inside the fusing attention
  std::int64_t fuse_first = 128;  ///< channels after F's first convolution
  std::int64_t fuse_last = 256;   ///< channels after its second one
};
/// The published proportions: 2, 4, 1, 8 and 16 times `map`.
[[nodiscard]] PrototypeLayout prototype_layout(std::int64_t map);

struct Prototype {
  torch::Tensor feature;  ///< F [B, feature, side, side]
  torch::Tensor code;     ///< p [B, K] in (-1,1)
  torch::Tensor labels;   ///< l [B, C] in (0,1)
};

/// Train mode: batch norm takes the statistics of the batch, which needs two rows at least.
class PrototypeNet : public torch::nn::Module {
 public:
  explicit PrototypeNet(const PrototypeLayout& layout);
  /// labels [B, C] 0/1, text [B, D].
  Prototype forward(const torch::Tensor& labels, const torch::Tensor& text);

 private:
  struct MapNet;
  struct Attention;
  std::shared_ptr<MapNet> label_net_, text_net_;
  std::shared_ptr<Attention> local1_, global1_, local2_, global2_;
  torch::nn::Conv2d fuse1_{nullptr}, fuse2_{nullptr};
  torch::nn::Linear hash_{nullptr}, classifier_{nullptr};
};

/// The forward pass under `precision`; results of the type of the labels.
[[nodiscard]] Prototype prototype_of(PrototypeNet& net, models::Precision precision,
                                     const torch::Tensor& labels, const torch::Tensor& text);

}  // namespace gauntlet::attacks::ta_dch
