// Building blocks that the generators of TA-DCH and EQB2A share.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "core/torch.hpp"

namespace gauntlet::attacks {

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
  const auto blocks = parent.named_children();
  const auto found = blocks.find(block);
  const auto holder =
      found != nullptr ? *found : parent.register_module(block, std::make_shared<torch::nn::Module>());
  return holder->register_module(name, std::move(layer));
}

/// [B, C, H, W] → the same with mean 0 and variance 1 per row and channel, eps 1e-5. Maps of one place stay
/// as they are: normalised, they would be 0 whatever they say.
[[nodiscard]] torch::Tensor instance_norm(const torch::Tensor& maps);

/// ReLU of instance_norm.
[[nodiscard]] torch::Tensor relu_of_norm(const torch::Tensor& maps);

enum class BlockNorm : std::uint8_t { kInstance, kBatch };

/// x + [Conv3, norm, ReLU, Conv3, norm](x), convolutions without bias; layers conv1, conv2 and, with batch
/// norm, bn1, bn2.
class ResidualBlock : public torch::nn::Module {
 public:
  explicit ResidualBlock(std::int64_t channels, BlockNorm norm = BlockNorm::kInstance);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  torch::nn::Conv2d conv1_, conv2_;
  torch::nn::BatchNorm2d bn1_{nullptr}, bn2_{nullptr};
};

/// Moves every convolution weight of a module to the memory order in which convolutions run fastest on a CPU.
void to_channels_last(torch::nn::Module& module);

/// Least-squares game with class outputs: per row the mean squared error of logits [B, C + 1] against
/// [labels, fakeness] → [B]. fakeness: 0 = real, 1 = fake.
[[nodiscard]] torch::Tensor least_squares(const torch::Tensor& logits, const torch::Tensor& labels,
                                          double fakeness);

}  // namespace gauntlet::attacks
