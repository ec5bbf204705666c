#include "core/models/detail/picto_cnn.hpp"

namespace gauntlet::models {
namespace {

torch::nn::Conv2d conv(std::int64_t from, std::int64_t to, std::int64_t kernel, std::int64_t stride) {
  return torch::nn::Conv2d(
      torch::nn::Conv2dOptions(from, to, kernel).stride(stride).padding(kernel / 2).bias(false));
}

}  // namespace

PictoCnn::PictoCnn(std::int64_t width, collective::Communicator* communicator)
    : n_features_(8 * width),
      conv1_(conv(3, width, 5, 2)),
      conv2_(conv(width, 2 * width, 3, 2)),
      conv3_(conv(2 * width, 4 * width, 3, 2)),
      conv4_(conv(4 * width, 8 * width, 3, 1)),
      bn1_(width, communicator),
      bn2_(2 * width, communicator),
      bn3_(4 * width, communicator),
      bn4_(8 * width, communicator) {
  register_module("conv1", conv1_);
  register_module("bn1", bn1_);
  register_module("conv2", conv2_);
  register_module("bn2", bn2_);
  register_module("conv3", conv3_);
  register_module("bn3", bn3_);
  register_module("conv4", conv4_);
  register_module("bn4", bn4_);
}

torch::Tensor PictoCnn::forward(const torch::Tensor& images) {
  torch::Tensor maps = images.contiguous(torch::MemoryFormat::ChannelsLast) * 2 - 1;
  maps = bn1_(conv1_(maps)).relu_();
  maps = bn2_(conv2_(maps)).relu_();
  maps = bn3_(conv3_(maps)).relu_();
  maps = bn4_(conv4_(maps)).relu_();
  return maps.amax({2, 3});
}

}  // namespace gauntlet::models
