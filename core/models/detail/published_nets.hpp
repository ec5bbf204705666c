// CNN-F and AlexNet, the backbones with published ImageNet weights: five convolutions, then two fully
// connected layers whose output is the feature.
#pragma once

#include <array>
#include <cstdint>

#include "core/models/backbone.hpp"
#include "core/torch.hpp"

namespace gauntlet::models {

struct NetSizes {
  std::array<std::int64_t, 5> channels;  ///< of conv1 to conv5
  std::array<std::int64_t, 5> kernels = {11, 5, 3, 3, 3};
  std::int64_t last_px = 6;  ///< side of the maps that fc6 sees
  std::int64_t fc6 = 4096;
  std::int64_t fc7 = 4096;    ///< features
  std::int64_t canvas = 224;  ///< side of the pictures; others are resized
};
inline constexpr NetSizes kCnnfSizes = {.channels = {64, 256, 256, 256, 256}};
inline constexpr NetSizes kAlexnetSizes = {.channels = {64, 192, 384, 256, 256}};

/// What both share. Convolutions work in channels-last memory, which is faster on CPUs.
class PublishedNet : public Backbone {
 public:
  torch::Tensor forward(const torch::Tensor& images) final { return head(trunk(images)); }
  [[nodiscard]] std::int64_t n_features() const final { return sizes_.fc7; }
  /// [B, 3, H, W] in [0,1] → the maps after the last pooling, [B, C5, s, s].
  [[nodiscard]] virtual torch::Tensor trunk(const torch::Tensor& images) = 0;
  /// Those maps → ReLU of fc7, [B, F], at least 0.
  [[nodiscard]] virtual torch::Tensor head(const torch::Tensor& maps) = 0;

 protected:
  /// Registers conv1 to conv5. `padding` of conv1; the others keep the size of their maps.
  PublishedNet(const NetSizes& sizes, std::int64_t padding);
  /// The picture at the canvas' size: bilinear, pixel centres at (i + 1/2), no smoothing before it is made
  /// smaller.
  [[nodiscard]] torch::Tensor on_canvas(const torch::Tensor& images) const;

  NetSizes sizes_;
  torch::nn::Conv2d conv1_, conv2_, conv3_, conv4_, conv5_;
};

/// Response normalisation across channels, [B, C, H, W]: a / (2 + 1e-4 Σ a²)^0.75 over the five channels
/// around each one (MatConvNet's definition, alpha not divided by the window). `released`: the channel and
/// the one before it, with 5e-5.
[[nodiscard]] torch::Tensor cnnf_normalisation(const torch::Tensor& maps, bool released);
/// Maximum over 3 x 3 every 2 px, with one more row below and column at the right; `released` pads all sides
/// by one too.
[[nodiscard]] torch::Tensor cnnf_first_pooling(const torch::Tensor& maps, bool released);

/// Chatfield et al., "Return of the Devil in the Details" (BMVC 2014), network CNN-F, as in
/// imagenet-vgg-f.mat: 255 x - mean, conv1 k11 s4, LRN, pool, conv2 k5 p2, LRN, pool, three k3 p1, pool, fc6,
/// fc7; ReLU after each layer with weights. fc6 and fc7 hold convolution kernels, [out, in, s, s] and [out,
/// in, 1, 1]. Buffer `mean` [3, canvas, canvas] on the scale 0..255.
class Cnnf final : public PublishedNet {
 public:
  Cnnf(const NetSizes& sizes, bool released);
  [[nodiscard]] torch::Tensor trunk(const torch::Tensor& images) override;
  [[nodiscard]] torch::Tensor head(const torch::Tensor& maps) override;

 private:
  bool released_;
  torch::nn::Conv2d fc6_, fc7_;
  torch::Tensor mean_;
};

/// What a channel's values lose and are divided by, on the scale 0..1; ImageNet's, as torchvision has them.
struct ChannelScale {
  std::array<double, 3> mean = {0.485, 0.456, 0.406};
  std::array<double, 3> deviation = {0.229, 0.224, 0.225};
};

/// Krizhevsky, "One weird trick for parallelizing convolutional neural networks" (2014), as torchvision has
/// it: ImageNet mean and deviation of each channel, conv1 k11 s4 p2, pool, conv2 k5 p2, pool, three k3 p1,
/// pool, fc6, fc7; ReLU after each layer with weights. No dropout.
class Alexnet final : public PublishedNet {
 public:
  explicit Alexnet(const NetSizes& sizes, const ChannelScale& scale = {});
  [[nodiscard]] torch::Tensor trunk(const torch::Tensor& images) override;
  [[nodiscard]] torch::Tensor head(const torch::Tensor& maps) override;

 private:
  ChannelScale scale_;
  torch::nn::Linear fc6_, fc7_;
};

}  // namespace gauntlet::models
