#include "core/models/detail/published_nets.hpp"

namespace gauntlet::models {
namespace {

torch::nn::Conv2d conv(const NetSizes& sizes, std::size_t layer, std::int64_t stride, std::int64_t padding) {
  const std::int64_t from = layer == 0 ? 3 : sizes.channels[layer - 1];
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(from, sizes.channels[layer], sizes.kernels[layer])
                               .stride(stride)
                               .padding(padding));
}

torch::nn::Conv2d same_size(const NetSizes& sizes, std::size_t layer) {
  return conv(sizes, layer, 1, sizes.kernels[layer] / 2);
}

torch::Tensor pooled(const torch::Tensor& maps) { return torch::max_pool2d(maps, {3, 3}, {2, 2}); }

/// A convolution whose kernel covers the whole input.
torch::Tensor fully_connected(torch::nn::Conv2d& layer, const torch::Tensor& input) {
  return torch::linear(input, layer->weight.flatten(1), layer->bias).relu();
}

torch::Tensor per_channel(const std::array<double, 3>& values, const torch::Tensor& like) {
  return torch::tensor(torch::ArrayRef<double>(values), like.options()).view({1, 3, 1, 1});
}

}  // namespace

PublishedNet::PublishedNet(const NetSizes& sizes, std::int64_t padding)
    : sizes_(sizes),
      conv1_(register_module("conv1", conv(sizes, 0, 4, padding))),
      conv2_(register_module("conv2", same_size(sizes, 1))),
      conv3_(register_module("conv3", same_size(sizes, 2))),
      conv4_(register_module("conv4", same_size(sizes, 3))),
      conv5_(register_module("conv5", same_size(sizes, 4))) {}

torch::Tensor PublishedNet::on_canvas(const torch::Tensor& images) const {
  if (images.size(2) == sizes_.canvas && images.size(3) == sizes_.canvas) return images;
  return torch::upsample_bilinear2d(images, {sizes_.canvas, sizes_.canvas}, /*align_corners=*/false);
}

torch::Tensor cnnf_normalisation(const torch::Tensor& maps, bool released) {
  // torch divides alpha by the window.
  const auto options = torch::nn::functional::LocalResponseNormFuncOptions(released ? 2 : 5)
                           .alpha(released ? 1e-4 : 5e-4)
                           .beta(0.75)
                           .k(2);
  return torch::nn::functional::local_response_norm(maps, options);
}

torch::Tensor cnnf_first_pooling(const torch::Tensor& maps, bool released) {
  const std::int64_t all_sides = released ? 1 : 0;
  return torch::max_pool2d(torch::constant_pad_nd(maps, {0, 1, 0, 1}), {3, 3}, {2, 2},
                           {all_sides, all_sides});
}

Cnnf::Cnnf(const NetSizes& sizes, bool released)
    : PublishedNet(sizes, 0),
      released_(released),
      fc6_(register_module("fc6", torch::nn::Conv2d(torch::nn::Conv2dOptions(sizes.channels.back(), sizes.fc6,
                                                                             sizes.last_px)))),
      fc7_(register_module("fc7", torch::nn::Conv2d(torch::nn::Conv2dOptions(sizes.fc6, sizes.fc7, 1)))),
      mean_(register_buffer("mean", torch::zeros({3, sizes.canvas, sizes.canvas}))) {}

torch::Tensor Cnnf::trunk(const torch::Tensor& images) {
  torch::Tensor maps = (on_canvas(images) * 255 - mean_).contiguous(torch::MemoryFormat::ChannelsLast);
  maps = cnnf_first_pooling(cnnf_normalisation(conv1_(maps).relu(), released_), released_);
  maps = pooled(cnnf_normalisation(conv2_(maps).relu(), released_));
  return pooled(conv5_(conv4_(conv3_(maps).relu()).relu()).relu());
}

torch::Tensor Cnnf::head(const torch::Tensor& maps) {
  return fully_connected(fc7_, fully_connected(fc6_, maps.flatten(1)));
}

Alexnet::Alexnet(const NetSizes& sizes, const ChannelScale& scale)
    : PublishedNet(sizes, 2),
      scale_(scale),
      fc6_(register_module(
          "fc6", torch::nn::Linear(sizes.channels.back() * sizes.last_px * sizes.last_px, sizes.fc6))),
      fc7_(register_module("fc7", torch::nn::Linear(sizes.fc6, sizes.fc7))) {}

torch::Tensor Alexnet::trunk(const torch::Tensor& images) {
  const torch::Tensor mean = per_channel(scale_.mean, images);
  const torch::Tensor deviation = per_channel(scale_.deviation, images);
  torch::Tensor maps = ((on_canvas(images) - mean) / deviation).contiguous(torch::MemoryFormat::ChannelsLast);
  maps = pooled(conv1_(maps).relu());
  maps = pooled(conv2_(maps).relu());
  return pooled(conv5_(conv4_(conv3_(maps).relu()).relu()).relu());
}

torch::Tensor Alexnet::head(const torch::Tensor& maps) { return fc7_(fc6_(maps.flatten(1)).relu()).relu(); }

}  // namespace gauntlet::models
