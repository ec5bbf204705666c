// Layers that the networks of EQB2A share.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace gauntlet::attacks::eqb2a {

/// A convolution's sizes; `bias` off where instance norm follows and would take it away again.
struct ConvShape {
  std::int64_t in, out, kernel;
  std::int64_t stride = 1;
  std::int64_t padding = 0;
  bool bias = false;
};
[[nodiscard]] torch::nn::Conv2d make_conv(const ConvShape& shape);
[[nodiscard]] torch::nn::ConvTranspose2d make_deconv(const ConvShape& shape);

/// Registers `layer` as <block>.<name>: parameters are then called <block>.<name>.<tensor>.
template <class Layer>
Layer add_layer(torch::nn::Module& parent, const std::string& block, const std::string& name, Layer layer) {
  const auto holder = parent.register_module(block, std::make_shared<torch::nn::Module>());
  return holder->register_module(name, std::move(layer));
}

/// ReLU of the instance norm: [B, C, H, W] with mean 0 and variance 1 per row and channel, eps 1e-5, no
/// affine part.
[[nodiscard]] torch::Tensor relu_of_norm(const torch::Tensor& maps);

enum class BlockNorm : std::uint8_t { kInstance, kBatch };

/// x + [Conv3, norm, ReLU, Conv3, norm](x), convolutions without bias; layers conv1, conv2 and, with batch
/// norm, bn1, bn2.
class ResidualBlock : public torch::nn::Module {
 public:
  ResidualBlock(std::int64_t channels, BlockNorm norm);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  torch::nn::Conv2d conv1_, conv2_;
  torch::nn::BatchNorm2d bn1_{nullptr}, bn2_{nullptr};
};

}  // namespace gauntlet::attacks::eqb2a
