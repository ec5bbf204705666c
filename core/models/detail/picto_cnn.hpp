// A small convolutional trunk for pictures of 8 px and more, trained from nothing on two cores.
#pragma once

#include <cstdint>

#include "core/collective/communicator.hpp"
#include "core/models/backbone.hpp"
#include "core/torch.hpp"

namespace gauntlet::models {

/// Four convolutions without bias, each followed by batch normalisation and ReLU, then the maximum over
/// positions:
///   3 → w k5 s2 p2, w → 2w k3 s2 p1, 2w → 4w k3 s2 p1, 4w → 8w k3 s1 p1.
/// [B, 3, H, W] float in [0,1] → [B, 8w], at least 0. Works in channels-last memory, in which these small
/// maps are 1.4 to 1.6 times faster on CPUs.
class PictoCnn final : public Backbone {
 public:
  PictoCnn(std::int64_t width, collective::Communicator* communicator);
  torch::Tensor forward(const torch::Tensor& images) override;
  [[nodiscard]] std::int64_t n_features() const override { return n_features_; }

 private:
  std::int64_t n_features_;
  torch::nn::Conv2d conv1_, conv2_, conv3_, conv4_;
  collective::SyncBatchNorm bn1_, bn2_, bn3_, bn4_;
};

/// The least side a picture must have.
inline constexpr std::int64_t kPictoCnnMinPx = 8;

}  // namespace gauntlet::models
