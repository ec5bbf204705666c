// Compiled once per instruction set: Highway includes this file again for each.
#include "core/collective/detail/rank_kernels.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/collective/detail/rank_kernels.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// after foreach_target.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace gauntlet::collective::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class T>
using Tag = hn::ScalableTag<T>;

/// Calls `of(tag, at)` for every vector of [0, n) and, for what is left, for every value: with the same
/// operations, so a result does not depend on its place.
template <class T, class Of>
HWY_INLINE void ForAll(std::int64_t n, const Of& of) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(Tag<T>()));
  std::int64_t at = 0;
  for (; at + lanes <= n; at += lanes) of(Tag<T>(), at);
  for (; at < n; ++at) of(hn::CappedTag<T, 1>(), at);
}

template <class T>
void AdamMoments(const AdamStep& step, std::span<const T* const> gradients, std::int64_t n, const T* values,
                 T* mean, T* square) {
  ForAll<T>(n, [&](auto d, std::int64_t at) {
    const auto set = [d](double value) { return hn::Set(d, static_cast<T>(value)); };
    auto gradient = hn::Zero(d);
    for (const T* of_rank : gradients)
      gradient = hn::Add(gradient, hn::Mul(hn::LoadU(d, of_rank + at), set(step.gradient_scale)));
    if (step.weight_decay != 0)
      gradient = hn::MulAdd(hn::LoadU(d, values + at), set(step.weight_decay), gradient);
    const auto old_mean = hn::Mul(hn::LoadU(d, mean + at), set(step.beta1));
    const auto old_square = hn::Mul(hn::LoadU(d, square + at), set(step.beta2));
    hn::StoreU(hn::MulAdd(gradient, set(1 - step.beta1), old_mean), d, mean + at);
    hn::StoreU(hn::MulAdd(hn::Mul(set(1 - step.beta2), gradient), gradient, old_square), d, square + at);
  });
}

template <class T>
void AdamValues(const AdamStep& step, std::int64_t n, const T* mean, const T* root, T* values, T* copy) {
  ForAll<T>(n, [&](auto d, std::int64_t at) {
    const auto set = [d](double value) { return hn::Set(d, static_cast<T>(value)); };
    const auto deviation =
        hn::Add(hn::Div(hn::LoadU(d, root + at), set(step.root_of_correction2)), set(step.eps));
    const auto change = hn::Div(hn::Mul(set(-step.step_size), hn::LoadU(d, mean + at)), deviation);
    const auto value = hn::Add(hn::LoadU(d, values + at), change);
    hn::StoreU(value, d, values + at);
    hn::StoreU(value, d, copy + at);
  });
}

/// Rows of a few channels, taken several at a time so that they are whole vectors.
template <class T>
struct WideRows {
  explicit WideRows(const ChannelRows& shape) : rows(shape) {
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(Tag<T>()));
    constexpr std::int64_t kWideEnough = 16;  // in vectors: a rest of values costs little
    if (shape.n_channels < kWideEnough * lanes) n_at_once = lanes / std::gcd(lanes, shape.n_channels);
    n_at_once = std::min(n_at_once, std::max<std::int64_t>(1, shape.n_rows));
  }
  ChannelRows rows;
  std::int64_t n_at_once = 1;
  [[nodiscard]] std::int64_t width() const { return n_at_once * rows.n_channels; }
  /// By channel, as it lies beside a wide row.
  [[nodiscard]] std::vector<T> repeated(const double* by_channel) const {
    std::vector<T> values;
    values.reserve(static_cast<std::size_t>(width()));
    for (std::int64_t row = 0; row < n_at_once; ++row)
      for (std::int64_t channel = 0; channel < rows.n_channels; ++channel)
        values.push_back(static_cast<T>(by_channel[channel]));
    return values;
  }
  /// Calls `of_row(first value, number of values)` for the rows [first, last), the last may be a part.
  template <class OfRow>
  HWY_INLINE void for_rows(std::int64_t first, std::int64_t last, const OfRow& of_row) const {
    for (std::int64_t row = first; row < last; row += n_at_once)
      of_row(row * rows.n_channels, std::min(n_at_once, last - row) * rows.n_channels);
  }
  /// Adds what a wide row of sums holds per channel, and leaves zeros.
  void fold(std::vector<T>& wide, double* by_channel) const {
    for (std::size_t at = 0; at < wide.size(); ++at) {
      by_channel[static_cast<std::int64_t>(at) % rows.n_channels] += static_cast<double>(wide[at]);
      wide[at] = 0;
    }
  }
};

/// Rows that are summed in the type of their values before the sums are widened: they stay in a cache, and
/// few enough numbers meet that rounding does not grow.
template <class T>
std::int64_t RowsOfBlock(const WideRows<T>& wide) {
  constexpr std::int64_t kValues = 8192;
  return std::max<std::int64_t>(1, kValues / wide.width()) * wide.n_at_once;
}

/// Sums around a mean of their own for each block, merged as Chan et al. do.
template <class T>
void Moments(const ChannelRows& shape, const T* x, double* mean, double* squares) {
  const WideRows<T> wide(shape);
  const auto n_channels = static_cast<std::size_t>(shape.n_channels);
  std::vector<T> sums(static_cast<std::size_t>(wide.width()), 0);
  std::vector<double> block_mean(n_channels), block_squares(n_channels);
  std::fill_n(mean, n_channels, 0);
  std::fill_n(squares, n_channels, 0);
  const std::int64_t n_of_block = RowsOfBlock(wide);
  for (std::int64_t first = 0; first < shape.n_rows; first += n_of_block) {
    const std::int64_t last = std::min(first + n_of_block, shape.n_rows);
    const auto n = static_cast<double>(last - first), n_before = static_cast<double>(first);
    wide.for_rows(first, last, [&](std::int64_t begin, std::int64_t n_values) {
      ForAll<T>(n_values, [&](auto d, std::int64_t at) {
        T* sum = sums.data() + at;
        hn::StoreU(hn::Add(hn::LoadU(d, sum), hn::LoadU(d, x + begin + at)), d, sum);
      });
    });
    std::ranges::fill(block_mean, 0);
    wide.fold(sums, block_mean.data());
    for (double& one : block_mean) one /= n;
    const std::vector<T> centre = wide.repeated(block_mean.data());
    wide.for_rows(first, last, [&](std::int64_t begin, std::int64_t n_values) {
      ForAll<T>(n_values, [&](auto d, std::int64_t at) {
        T* sum = sums.data() + at;
        const auto off = hn::Sub(hn::LoadU(d, x + begin + at), hn::LoadU(d, centre.data() + at));
        hn::StoreU(hn::MulAdd(off, off, hn::LoadU(d, sum)), d, sum);
      });
    });
    std::ranges::fill(block_squares, 0);
    wide.fold(sums, block_squares.data());
    const double share = n / (n_before + n);
    for (std::size_t channel = 0; channel < n_channels; ++channel) {
      const double off = block_mean[channel] - mean[channel];
      mean[channel] += off * share;
      squares[channel] += block_squares[channel] + off * off * n_before * share;
    }
  }
}

template <class T>
void GradientSums(const ChannelRows& shape, const T* x, const T* dy, const double* mean, double* sums,
                  double* products) {
  const WideRows<T> wide(shape);
  const std::vector<T> centre = wide.repeated(mean);
  std::vector<T> block_sums(centre.size(), 0), block_products(centre.size(), 0);
  std::fill_n(sums, shape.n_channels, 0);
  std::fill_n(products, shape.n_channels, 0);
  const std::int64_t n_of_block = RowsOfBlock(wide);
  for (std::int64_t first = 0; first < shape.n_rows; first += n_of_block) {
    const std::int64_t last = std::min(first + n_of_block, shape.n_rows);
    wide.for_rows(first, last, [&](std::int64_t begin, std::int64_t n_values) {
      ForAll<T>(n_values, [&](auto d, std::int64_t at) {
        T *sum = block_sums.data() + at, *product = block_products.data() + at;
        const auto slope = hn::LoadU(d, dy + begin + at);
        const auto off = hn::Sub(hn::LoadU(d, x + begin + at), hn::LoadU(d, centre.data() + at));
        hn::StoreU(hn::Add(hn::LoadU(d, sum), slope), d, sum);
        hn::StoreU(hn::MulAdd(slope, off, hn::LoadU(d, product)), d, product);
      });
    });
    wide.fold(block_sums, sums);
    wide.fold(block_products, products);
  }
}

template <class T>
void Affine(const ChannelRows& shape, const T* x, const double* scale, const double* offset, T* y) {
  const WideRows<T> wide(shape);
  const std::vector<T> scales = wide.repeated(scale), offsets = wide.repeated(offset);
  wide.for_rows(0, shape.n_rows, [&](std::int64_t begin, std::int64_t n_values) {
    ForAll<T>(n_values, [&](auto d, std::int64_t at) {
      const auto constant = hn::LoadU(d, offsets.data() + at);
      const auto value = hn::LoadU(d, x + begin + at);
      hn::StoreU(hn::MulAdd(value, hn::LoadU(d, scales.data() + at), constant), d, y + begin + at);
    });
  });
}

template <class T>
void AffineOfTwo(const ChannelRows& shape, const T* dy, const T* x, const double* scale, const double* slope,
                 const double* offset, T* out) {
  const WideRows<T> wide(shape);
  const std::vector<T> scales = wide.repeated(scale), slopes = wide.repeated(slope),
                       offsets = wide.repeated(offset);
  wide.for_rows(0, shape.n_rows, [&](std::int64_t begin, std::int64_t n_values) {
    ForAll<T>(n_values, [&](auto d, std::int64_t at) {
      const auto of_x = hn::MulAdd(hn::LoadU(d, x + begin + at), hn::LoadU(d, slopes.data() + at),
                                   hn::LoadU(d, offsets.data() + at));
      hn::StoreU(hn::MulAdd(hn::LoadU(d, dy + begin + at), hn::LoadU(d, scales.data() + at), of_x), d,
                 out + begin + at);
    });
  });
}

// What Highway makes a table of must be a function, not a template.
#define GAUNTLET_FOR(T, Type)                                                                                \
  void AdamMoments##Type(const AdamStep& step, std::span<const T* const> gradients, std::int64_t n,          \
                         const T* values, T* mean, T* square) {                                              \
    AdamMoments<T>(step, gradients, n, values, mean, square);                                                \
  }                                                                                                          \
  void AdamValues##Type(const AdamStep& step, std::int64_t n, const T* mean, const T* root, T* values,       \
                        T* copy) {                                                                           \
    AdamValues<T>(step, n, mean, root, values, copy);                                                        \
  }                                                                                                          \
  void Moments##Type(const ChannelRows& shape, const T* x, double* mean, double* squares) {                  \
    Moments<T>(shape, x, mean, squares);                                                                     \
  }                                                                                                          \
  void GradientSums##Type(const ChannelRows& shape, const T* x, const T* dy, const double* mean,             \
                          double* sums, double* products) {                                                  \
    GradientSums<T>(shape, x, dy, mean, sums, products);                                                     \
  }                                                                                                          \
  void Affine##Type(const ChannelRows& shape, const T* x, const double* scale, const double* offset, T* y) { \
    Affine<T>(shape, x, scale, offset, y);                                                                   \
  }                                                                                                          \
  void AffineOfTwo##Type(const ChannelRows& shape, const T* dy, const T* x, const double* scale,             \
                         const double* slope, const double* offset, T* out) {                                \
    AffineOfTwo<T>(shape, dy, x, scale, slope, offset, out);                                                 \
  }
GAUNTLET_FOR(float, Float)
GAUNTLET_FOR(double, Double)
#undef GAUNTLET_FOR

}  // namespace gauntlet::collective::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gauntlet::collective {

#define GAUNTLET_FOR(T, Type)                                                                                \
  HWY_EXPORT(AdamMoments##Type);                                                                             \
  HWY_EXPORT(AdamValues##Type);                                                                              \
  HWY_EXPORT(Moments##Type);                                                                                 \
  HWY_EXPORT(GradientSums##Type);                                                                            \
  HWY_EXPORT(Affine##Type);                                                                                  \
  HWY_EXPORT(AffineOfTwo##Type);                                                                             \
  void adam_moments(const AdamStep& step, std::span<const T* const> gradients, std::int64_t n,               \
                    const T* values, T* mean, T* square) {                                                   \
    HWY_DYNAMIC_DISPATCH(AdamMoments##Type)(step, gradients, n, values, mean, square);                       \
  }                                                                                                          \
  void adam_values(const AdamStep& step, std::int64_t n, const T* mean, const T* root, T* values, T* copy) { \
    HWY_DYNAMIC_DISPATCH(AdamValues##Type)(step, n, mean, root, values, copy);                               \
  }                                                                                                          \
  void channel_moments(const ChannelRows& shape, const T* x, double* mean, double* squares) {                \
    HWY_DYNAMIC_DISPATCH(Moments##Type)(shape, x, mean, squares);                                            \
  }                                                                                                          \
  void channel_gradient_sums(const ChannelRows& shape, const T* x, const T* dy, const double* mean,          \
                             double* sums, double* products) {                                               \
    HWY_DYNAMIC_DISPATCH(GradientSums##Type)(shape, x, dy, mean, sums, products);                            \
  }                                                                                                          \
  void channel_affine(const ChannelRows& shape, const T* x, const double* scale, const double* offset,       \
                      T* y) {                                                                                \
    HWY_DYNAMIC_DISPATCH(Affine##Type)(shape, x, scale, offset, y);                                          \
  }                                                                                                          \
  void channel_affine(const ChannelRows& shape, const T* dy, const T* x, const double* scale,                \
                      const double* slope, const double* offset, T* out) {                                   \
    HWY_DYNAMIC_DISPATCH(AffineOfTwo##Type)(shape, dy, x, scale, slope, offset, out);                        \
  }
GAUNTLET_FOR(float, Float)
GAUNTLET_FOR(double, Double)
#undef GAUNTLET_FOR

}  // namespace gauntlet::collective
#endif
