#include "core/attacks/detail/generator_layers.hpp"

namespace gauntlet::attacks {

using torch::Tensor;

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

Tensor instance_norm(const Tensor& maps) {
  if (maps.size(2) * maps.size(3) == 1) return maps;
  // One group per channel is the same function, and keeps channels-last memory.
  return torch::group_norm(maps, maps.size(1));
}

Tensor relu_of_norm(const Tensor& maps) { return torch::relu(instance_norm(maps)); }

ResidualBlock::ResidualBlock(std::int64_t channels, BlockNorm norm)
    : conv1_(register_module("conv1", make_conv({channels, channels, 3, 1, 1}))),
      conv2_(register_module("conv2", make_conv({channels, channels, 3, 1, 1}))) {
  if (norm == BlockNorm::kInstance) return;
  bn1_ = register_module("bn1", torch::nn::BatchNorm2d(channels));
  bn2_ = register_module("bn2", torch::nn::BatchNorm2d(channels));
}

Tensor ResidualBlock::forward(const Tensor& x) {
  const Tensor first = conv1_->forward(x);
  const Tensor middle = torch::relu(bn1_ ? bn1_->forward(first) : instance_norm(first));
  const Tensor second = conv2_->forward(middle);
  return x + (bn2_ ? bn2_->forward(second) : instance_norm(second));
}

void to_channels_last(torch::nn::Module& module) {
  for (auto& parameter : module.parameters()) {
    if (parameter.dim() != 4) continue;
    parameter.set_data(parameter.detach().contiguous(torch::MemoryFormat::ChannelsLast));
  }
}

Tensor least_squares(const Tensor& logits, const Tensor& labels, double fakeness) {
  const Tensor wanted = torch::cat({labels, torch::full_like(labels.narrow(1, 0, 1), fakeness)}, 1);
  return (logits - wanted).square().mean(1);
}

}  // namespace gauntlet::attacks
