#include <cmath>

#include "core/collective/communicator.hpp"
#include "core/collective/detail/row_norm.hpp"

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
  torch::Tensor mean, variance;     ///< variance over count
  torch::Tensor unbiased_variance;  ///< over count - 1
  torch::Tensor inverse_deviation;  ///< 1 / sqrt(variance + eps)
  double count = 0;                 ///< values per channel
};

/// Every rank's means, variances and count, rows [2 C + 1] of `all`, merged as Chan et al. do (a mean of
/// squares minus a squared mean would cancel). One loop: as tensors, a step of a small network would spend
/// more time in calls than in its sums.
Statistics merged(const torch::Tensor& all, std::int64_t n_channels, const torch::TensorOptions& options) {
  const torch::Tensor on_host = all.cpu();
  const auto rows = on_host.accessor<double, 2>();
  Statistics of;
  for (std::int64_t rank = 0; rank < rows.size(0); ++rank) of.count += rows[rank][2 * n_channels];
  torch::Tensor both = torch::empty({4, n_channels}, torch::kFloat64);
  auto out = both.accessor<double, 2>();
  for (std::int64_t channel = 0; channel < n_channels; ++channel) {
    double mean = 0, squares = 0;
    for (std::int64_t rank = 0; rank < rows.size(0); ++rank)
      mean += rows[rank][2 * n_channels] * rows[rank][channel];
    mean /= of.count;
    for (std::int64_t rank = 0; rank < rows.size(0); ++rank) {
      const double off = rows[rank][channel] - mean;
      squares += rows[rank][2 * n_channels] * (rows[rank][n_channels + channel] + off * off);
    }
    out[0][channel] = mean;
    out[1][channel] = squares / of.count;
    out[2][channel] = squares / (of.count - 1);
    out[3][channel] = 1 / std::sqrt(squares / of.count + kEps);
  }
  const std::vector<torch::Tensor> parts = both.to(options).unbind();
  of.mean = parts[0];
  of.variance = parts[1];
  of.unbiased_variance = parts[2];
  of.inverse_deviation = parts[3];
  return of;
}

/// One exchange.
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
  return merged(all, n_channels, input.options());
}

/// The fused kernels of an evaluation, around exchanges of a few numbers per channel: on devices, and for
/// pictures in other memory orders.
struct NormOverRanks : torch::autograd::Function<NormOverRanks> {
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& input,
                               const torch::Tensor& weight, const torch::Tensor& bias,
                               const torch::Tensor& running_mean, const torch::Tensor& running_var,
                               std::int64_t communicator) {
    const Statistics of = statistics_over(*reinterpret_cast<Communicator*>(communicator), input);
    running_mean.lerp_(of.mean, kMomentum);
    running_var.lerp_(of.unbiased_variance, kMomentum);
    context->saved_data["communicator"] = communicator;
    context->saved_data["count"] = of.count;
    context->save_for_backward({input, weight, of.mean, of.variance, of.inverse_deviation});
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
    const torch::Tensor &input = saved[0], &weight = saved[1], &mean = saved[2], &variance = saved[3],
                        &inverse = saved[4];
    torch::Tensor dx, d_weight, d_bias;
    if (input.numel() > 0) {
      std::tie(dx, d_weight, d_bias) =
          at::native_batch_norm_backward(gradients.front(), input, weight, mean, variance, {}, {},
                                         /*train=*/false, kEps, {true, true, true});
    } else {
      dx = torch::zeros_like(input);
      d_weight = torch::zeros_like(weight);
      d_bias = torch::zeros_like(weight);
    }
    torch::Tensor sums = torch::stack({d_bias, d_weight});
    ranks.all_reduce_sum_(sums);
    const torch::Tensor scale = weight * inverse / count;
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
  if (is_rows(input, weight)) {
    return norm_of_rows(*communicator_, input, weight, bias, running_mean, running_var, kMomentum, kEps);
  }
  return NormOverRanks::apply(input, weight, bias, running_mean, running_var,
                              reinterpret_cast<std::int64_t>(communicator_));
}

}  // namespace gauntlet::collective
