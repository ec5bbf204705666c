#include "core/attacks/detail/eqb2a_layers.hpp"

namespace gauntlet::attacks::eqb2a {
namespace {

using torch::Tensor;

/// Group norm with one channel per group; as fast in either memory order, which torch's instance norm is not.
Tensor instance_norm(const Tensor& maps) { return torch::group_norm(maps, maps.size(1)); }

}  // namespace

torch::nn::Conv2d make_conv(const ConvShape& shape) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(shape.in, shape.out, shape.kernel)
                               .stride(shape.stride)
                               .padding(shape.padding)
                               .bias(shape.bias));
}

torch::nn::ConvTranspose2d make_deconv(const ConvShape& shape) {
  return torch::nn::ConvTranspose2d(torch::nn::ConvTranspose2dOptions(shape.in, shape.out, shape.kernel)
                                        .stride(shape.stride)
                                        .padding(shape.padding)
                                        .bias(shape.bias));
}

Tensor relu_of_norm(const Tensor& maps) { return instance_norm(maps).relu_(); }

ResidualBlock::ResidualBlock(std::int64_t channels, BlockNorm norm)
    : conv1_(
          register_module("conv1", make_conv({.in = channels, .out = channels, .kernel = 3, .padding = 1}))),
      conv2_(
          register_module("conv2", make_conv({.in = channels, .out = channels, .kernel = 3, .padding = 1}))) {
  if (norm == BlockNorm::kInstance) return;
  bn1_ = register_module("bn1", torch::nn::BatchNorm2d(channels));
  bn2_ = register_module("bn2", torch::nn::BatchNorm2d(channels));
}

Tensor ResidualBlock::forward(const Tensor& x) {
  const Tensor first = conv1_->forward(x);
  const Tensor middle = (bn1_ ? bn1_->forward(first) : instance_norm(first)).relu_();
  const Tensor second = conv2_->forward(middle);
  return x + (bn2_ ? bn2_->forward(second) : instance_norm(second));
}

}  // namespace gauntlet::attacks::eqb2a
