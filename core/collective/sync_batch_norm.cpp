#include "core/collective/communicator.hpp"

namespace gauntlet::collective {
namespace {

constexpr double kEps = 1e-5;
constexpr double kMomentum = 0.1;

/// [C] as it broadcasts over the input.
torch::Tensor per_channel(const torch::Tensor& values, const torch::Tensor& input) {
  return input.dim() == 4 ? values.view({1, -1, 1, 1}) : values.view({1, -1});
}

/// Of the global batch, [C] in the input's type.
struct Statistics {
  torch::Tensor mean, variance;  ///< variance over count
  double count = 0;              ///< values per channel
};

/// One exchange: every rank's mean, variance and count, merged as Chan et al. do (a mean of squares minus a
/// squared mean would cancel).
Statistics statistics_over(Communicator& ranks, const torch::Tensor& input) {
  const std::int64_t n_channels = input.size(1);
  torch::Tensor all =
      torch::zeros({ranks.world_size(), 2 * n_channels + 1}, input.options().dtype(torch::kFloat64));
  if (input.numel() > 0) {
    const auto [mean, variance] = at::batch_norm_update_stats(input, {}, {}, 0);
    const auto own_count = static_cast<double>(input.numel() / n_channels);
    all[ranks.rank()].copy_(torch::cat({mean, variance, torch::full({1}, own_count, mean.options())}));
  }
  ranks.all_reduce_sum_(all);
  const torch::Tensor counts = all.narrow(1, 2 * n_channels, 1);  // [W, 1]
  const torch::Tensor means = all.narrow(1, 0, n_channels), variances = all.narrow(1, n_channels, n_channels);
  const torch::Tensor count = counts.sum();
  const torch::Tensor mean = (counts * means).sum(0) / count;
  const torch::Tensor variance = (counts * (variances + (means - mean).square())).sum(0) / count;
  return {mean.to(input.scalar_type()), variance.to(input.scalar_type()), count.item<double>()};
}

/// The fused kernels of an evaluation, around exchanges of a few numbers per channel.
struct NormOverRanks : torch::autograd::Function<NormOverRanks> {
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& input,
                               const torch::Tensor& weight, const torch::Tensor& bias,
                               const torch::Tensor& running_mean, const torch::Tensor& running_var,
                               std::int64_t communicator) {
    const Statistics of = statistics_over(*reinterpret_cast<Communicator*>(communicator), input);
    running_mean.mul_(1 - kMomentum).add_(of.mean, kMomentum);
    running_var.mul_(1 - kMomentum).add_(of.variance, kMomentum * of.count / (of.count - 1));
    context->saved_data["communicator"] = communicator;
    context->saved_data["count"] = of.count;
    context->save_for_backward({input, weight, of.mean, of.variance});
    if (input.numel() == 0) return input.clone();
    return std::get<0>(
        at::native_batch_norm(input, weight, bias, of.mean, of.variance, /*training=*/false, 0, kEps));
  }

  /// With x' = (x - mean) / deviation and sums over all ranks' rows, per channel:
  /// dx = weight / deviation * (dy - sum(dy) / count - x' sum(dy x') / count). Gradients of weight and bias
  /// are of the own rows; the reducer sees to the rest.
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    auto& ranks = *reinterpret_cast<Communicator*>(context->saved_data["communicator"].toInt());
    const double count = context->saved_data["count"].toDouble();
    const auto saved = context->get_saved_variables();
    const torch::Tensor &input = saved[0], &weight = saved[1], &mean = saved[2], &variance = saved[3];
    torch::Tensor dx, d_weight = torch::zeros_like(weight), d_bias = torch::zeros_like(weight);
    if (input.numel() > 0) {
      std::tie(dx, d_weight, d_bias) =
          at::native_batch_norm_backward(gradients.front(), input, weight, mean, variance, {}, {},
                                         /*train=*/false, kEps, {true, true, true});
    } else {
      dx = torch::zeros_like(input);
    }
    torch::Tensor sums = torch::stack({d_bias, d_weight});
    ranks.all_reduce_sum_(sums);
    const torch::Tensor inverse = (variance + kEps).rsqrt(), scale = weight * inverse / count;
    const torch::Tensor slope = scale * inverse * sums[1], offset = scale * sums[0] - slope * mean;
    dx.sub_(torch::addcmul(per_channel(offset, input), input, per_channel(slope, input)));
    return {dx, d_weight, d_bias, {}, {}, {}};
  }
};

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
  return NormOverRanks::apply(input, weight, bias, running_mean, running_var,
                              reinterpret_cast<std::int64_t>(communicator_));
}

}  // namespace gauntlet::collective
