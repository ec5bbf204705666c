#include "core/collective/communicator.hpp"

namespace gauntlet::collective {
namespace {

constexpr double kEps = 1e-5;
constexpr double kMomentum = 0.1;

}  // namespace

SyncBatchNormImpl::SyncBatchNormImpl(std::int64_t n_channels, Communicator* communicator)
    : communicator_(communicator) {
  weight = register_parameter("weight", torch::ones({n_channels}));
  bias = register_parameter("bias", torch::zeros({n_channels}));
  running_mean = register_buffer("running_mean", torch::zeros({n_channels}));
  running_var = register_buffer("running_var", torch::ones({n_channels}));
}

torch::Tensor SyncBatchNormImpl::forward(const torch::Tensor& input) {
  if (!is_training() || communicator_ == nullptr || communicator_->world_size() == 1) {
    return torch::batch_norm(input, weight, bias, running_mean, running_var, is_training(), kMomentum, kEps,
                             /*cudnn_enabled=*/true);
  }
  if (input.scalar_type() != weight.scalar_type()) {  // bfloat16 maps: sums and counts would be rounded
    return forward(input.to(weight.scalar_type())).to(input.scalar_type());
  }
  const bool spatial = input.dim() == 4;
  const std::vector<std::int64_t> reduced =
      spatial ? std::vector<std::int64_t>{0, 2, 3} : std::vector<std::int64_t>{0};
  const std::int64_t n_channels = input.size(1);
  const std::vector<std::int64_t> per_channel =
      spatial ? std::vector<std::int64_t>{1, n_channels, 1, 1} : std::vector<std::int64_t>{1, n_channels};

  // The count travels with the sums. Two passes, since a mean of squares minus a squared mean cancels.
  const auto local_count = static_cast<double>(input.numel() / n_channels);
  const torch::Tensor sums = communicator_->all_reduce_sum(
      torch::cat({input.sum(reduced), torch::full({1}, local_count, input.options())}));
  const double count = sums[n_channels].item<double>();
  const torch::Tensor mean = sums.narrow(0, 0, n_channels) / count;
  const torch::Tensor centered = input - mean.view(per_channel);
  const torch::Tensor variance = communicator_->all_reduce_sum(centered.square().sum(reduced)) / count;
  {
    const torch::NoGradGuard no_grad;
    running_mean.mul_(1 - kMomentum).add_(mean.detach(), kMomentum);
    running_var.mul_(1 - kMomentum).add_(variance.detach(), kMomentum * count / (count - 1));
  }
  const torch::Tensor scale = weight * (variance + kEps).rsqrt();
  return centered * scale.view(per_channel) + bias.view(per_channel);
}

}  // namespace gauntlet::collective
