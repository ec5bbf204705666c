#include "core/collective/detail/row_norm.hpp"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "core/collective/detail/rank_kernels.hpp"

namespace gauntlet::collective {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Numbers that a step takes of rows of memory, in any number of threads: of parts of the rows, which depend
/// on the shape alone, put together in their order.
class Parts {
 public:
  explicit Parts(const ChannelRows& shape) : shape_(shape) {
    constexpr std::int64_t kValues = std::int64_t{1} << 17;
    n_of_part_ = std::max<std::int64_t>(1, kValues / std::max<std::int64_t>(1, shape.n_channels));
  }
  [[nodiscard]] std::int64_t size() const { return (shape_.n_rows + n_of_part_ - 1) / n_of_part_; }
  /// Calls `of(part, first value, its rows)` for all of them.
  template <class Of>
  void for_all(const Of& of) const {
    at::parallel_for(0, size(), 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t part = begin; part < end; ++part)
        of(part, first(part) * shape_.n_channels, rows(part));
    });
  }
  [[nodiscard]] ChannelRows rows(std::int64_t part) const {
    return {std::min(n_of_part_, shape_.n_rows - first(part)), shape_.n_channels};
  }

 private:
  [[nodiscard]] std::int64_t first(std::int64_t part) const { return part * n_of_part_; }
  ChannelRows shape_;
  std::int64_t n_of_part_;
};

/// Means and squares around them of several sets of rows, merged as Chan et al. do (a mean of squares minus a
/// squared mean would cancel).
struct Moments {
  explicit Moments(std::int64_t n_channels)
      : mean(static_cast<std::size_t>(n_channels)), squares(static_cast<std::size_t>(n_channels)) {}
  void add(double n, const double* more_mean, const double* more_squares) {
    if (n == 0) return;
    const double share = n / (count + n);
    for (std::size_t channel = 0; channel < mean.size(); ++channel) {
      const double off = more_mean[channel] - mean[channel];
      mean[channel] += off * share;
      squares[channel] += more_squares[channel] + off * off * count * share;
    }
    count += n;
  }
  double count = 0;  ///< values per channel
  std::vector<double> mean, squares;
};

torch::MemoryFormat order_of(const torch::Tensor& input) {
  return input.dim() == 4 ? torch::MemoryFormat::ChannelsLast : torch::MemoryFormat::Contiguous;
}

ChannelRows rows_of(const torch::Tensor& input) {
  const std::int64_t n_channels = input.size(1);
  return {n_channels == 0 ? 0 : input.numel() / n_channels, n_channels};
}

/// Of one rank's rows.
template <class T>
Moments moments_of(const torch::Tensor& x) {
  const ChannelRows shape = rows_of(x);
  const Parts parts(shape);
  std::vector<Moments> found(static_cast<std::size_t>(parts.size()), Moments(shape.n_channels));
  parts.for_all([&](std::int64_t part, std::int64_t first, const ChannelRows& rows) {
    Moments& of = found[static_cast<std::size_t>(part)];
    channel_moments(rows, x.const_data_ptr<T>() + first, of.mean.data(), of.squares.data());
  });
  Moments all(shape.n_channels);
  for (std::int64_t part = 0; part < parts.size(); ++part) {
    const Moments& of = found[static_cast<std::size_t>(part)];
    all.add(static_cast<double>(parts.rows(part).n_rows), of.mean.data(), of.squares.data());
  }
  return all;
}

/// Of the global batch, in one exchange.
Moments merged(Communicator& ranks, const Moments& own) {
  const auto n_channels = static_cast<std::int64_t>(own.mean.size());
  torch::Tensor all = torch::zeros({ranks.world_size(), 2 * n_channels + 1}, torch::kFloat64);
  const std::int64_t width = all.size(1);
  auto* const values = all.mutable_data_ptr<double>();
  double* const place = values + ranks.rank() * width;
  place[0] = own.count;
  std::ranges::copy(own.mean, place + 1);
  std::ranges::copy(own.squares, place + 1 + n_channels);
  ranks.all_reduce_sum_(all);
  Moments of_all(n_channels);
  for (std::int64_t rank = 0; rank < ranks.world_size(); ++rank) {
    const double* row = values + rank * width;
    of_all.add(row[0], row + 1, row + 1 + n_channels);
  }
  return of_all;
}

template <class T>
void approach(const torch::Tensor& running, const std::vector<double>& now, double momentum) {
  T* values = running.mutable_data_ptr<T>();
  for (const double one : now) {
    *values += static_cast<T>(momentum) * (static_cast<T>(one) - *values);
    ++values;
  }
}

/// What is normalised by, [mean, 1 / deviation] as [2, C] doubles; running values follow.
template <class T>
torch::Tensor take_statistics(const Moments& of, const torch::Tensor& running_mean,
                              const torch::Tensor& running_var, double momentum, double eps) {
  const std::size_t n_channels = of.mean.size();
  torch::Tensor kept = torch::empty({2, static_cast<std::int64_t>(n_channels)}, torch::kFloat64);
  auto* const mean = kept.mutable_data_ptr<double>();
  double* const inverse = mean + n_channels;
  std::vector<double> unbiased(n_channels);
  for (std::size_t channel = 0; channel < n_channels; ++channel) {
    mean[channel] = of.mean[channel];
    inverse[channel] = 1 / std::sqrt(of.squares[channel] / of.count + eps);
    unbiased[channel] = of.squares[channel] / (of.count - 1);
  }
  approach<T>(running_mean, of.mean, momentum);
  approach<T>(running_var, unbiased, momentum);
  return kept;
}

template <class T>
torch::Tensor normalised(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                         const torch::Tensor& kept) {
  const ChannelRows shape = rows_of(x);
  const double *mean = kept.const_data_ptr<double>(), *inverse = mean + shape.n_channels;
  std::vector<double> scale(static_cast<std::size_t>(shape.n_channels)), offset(scale.size());
  for (std::size_t channel = 0; channel < scale.size(); ++channel) {
    scale[channel] = static_cast<double>(weight.const_data_ptr<T>()[channel]) * inverse[channel];
    offset[channel] = static_cast<double>(bias.const_data_ptr<T>()[channel]) - scale[channel] * mean[channel];
  }
  torch::Tensor y = torch::empty_like(x);
  Parts(shape).for_all([&](std::int64_t, std::int64_t first, const ChannelRows& rows) {
    channel_affine(rows, x.const_data_ptr<T>() + first, scale.data(), offset.data(),
                   y.mutable_data_ptr<T>() + first);
  });
  return y;
}

/// With x' = (x - mean) / deviation and sums over all ranks' rows, per channel:
/// dx = weight / deviation * (dy - sum(dy) / count - x' sum(dy x') / count). Gradients of weight and bias are
/// of the own rows; the reducer sees to the rest.
template <class T>
variable_list gradients_of(Communicator& ranks, const torch::Tensor& x, const torch::Tensor& dy,
                           const torch::Tensor& weight, const torch::Tensor& kept, double count) {
  const ChannelRows shape = rows_of(x);
  const std::int64_t n = shape.n_channels;
  const double *mean = kept.const_data_ptr<double>(), *inverse = mean + n;
  const Parts parts(shape);
  torch::Tensor of_parts = torch::empty({parts.size(), 2 * n}, torch::kFloat64);
  parts.for_all([&](std::int64_t part, std::int64_t first, const ChannelRows& rows) {
    double* sums = of_parts.mutable_data_ptr<double>() + part * 2 * n;
    channel_gradient_sums(rows, x.const_data_ptr<T>() + first, dy.const_data_ptr<T>() + first, mean, sums,
                          sums + n);
  });
  torch::Tensor sums = parts.size() == 1 ? of_parts[0] : of_parts.sum(0);  // of dy, of dy (x - mean)
  auto* const sum = sums.mutable_data_ptr<double>();
  torch::Tensor d_weight = torch::empty_like(weight), d_bias = torch::empty_like(weight);
  for (std::int64_t channel = 0; channel < n; ++channel) {
    d_bias.mutable_data_ptr<T>()[channel] = static_cast<T>(sum[channel]);
    d_weight.mutable_data_ptr<T>()[channel] = static_cast<T>(sum[n + channel] * inverse[channel]);
  }
  ranks.all_reduce_sum_(sums);
  std::vector<double> scale(static_cast<std::size_t>(n)), slope(scale.size()), offset(scale.size());
  for (std::int64_t channel = 0; channel < n; ++channel) {
    const auto at = static_cast<std::size_t>(channel);
    scale[at] = static_cast<double>(weight.const_data_ptr<T>()[channel]) * inverse[channel];
    slope[at] = -scale[at] * inverse[channel] * inverse[channel] * sum[n + channel] / count;
    offset[at] = -scale[at] * sum[channel] / count - slope[at] * mean[channel];
  }
  torch::Tensor dx = torch::empty_like(x);
  parts.for_all([&](std::int64_t, std::int64_t first, const ChannelRows& rows) {
    channel_affine(rows, dy.const_data_ptr<T>() + first, x.const_data_ptr<T>() + first, scale.data(),
                   slope.data(), offset.data(), dx.mutable_data_ptr<T>() + first);
  });
  return {dx, d_weight, d_bias, {}, {}, {}, {}, {}};
}

struct NormOfRows : torch::autograd::Function<NormOfRows> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& input,
                               const torch::Tensor& weight, const torch::Tensor& bias,
                               const torch::Tensor& running_mean, const torch::Tensor& running_var,
                               std::int64_t communicator, double momentum, double eps) {
    auto& ranks = *reinterpret_cast<Communicator*>(communicator);
    return AT_DISPATCH_FLOATING_TYPES(input.scalar_type(), "norm_of_rows", [&] {
      const Moments of = merged(ranks, moments_of<scalar_t>(input));
      const torch::Tensor kept = take_statistics<scalar_t>(of, running_mean, running_var, momentum, eps);
      context->saved_data["communicator"] = communicator;
      context->saved_data["count"] = of.count;
      context->save_for_backward({input, weight, kept});
      return normalised<scalar_t>(input, weight, bias, kept);
    });
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    auto& ranks = *reinterpret_cast<Communicator*>(context->saved_data["communicator"].toInt());
    const double count = context->saved_data["count"].toDouble();
    const variable_list saved = context->get_saved_variables();
    const torch::Tensor dy = gradients.front().contiguous(order_of(saved[0]));
    return AT_DISPATCH_FLOATING_TYPES(dy.scalar_type(), "norm_of_rows", [&] {
      return gradients_of<scalar_t>(ranks, saved[0], dy, saved[1], saved[2], count);
    });
  }
};

}  // namespace

bool is_rows(const torch::Tensor& input, const torch::Tensor& weight) {
  const bool has_loops = input.scalar_type() == torch::kFloat32 || input.scalar_type() == torch::kFloat64;
  return has_loops && input.device().is_cpu() && input.scalar_type() == weight.scalar_type() &&
         (input.dim() == 2 || input.dim() == 4) && input.is_contiguous(order_of(input));
}

torch::Tensor norm_of_rows(Communicator& ranks, const torch::Tensor& input, const torch::Tensor& weight,
                           const torch::Tensor& bias, const torch::Tensor& running_mean,
                           const torch::Tensor& running_var, double momentum, double eps) {
  return NormOfRows::apply(input, weight, bias, running_mean, running_var,
                           reinterpret_cast<std::int64_t>(&ranks), momentum, eps);
}

}  // namespace gauntlet::collective
