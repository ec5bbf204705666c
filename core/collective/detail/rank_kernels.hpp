// Loops over memory that ranks exchange, each in one pass, in vectors as wide as the processor has them. As
// tensor operations they were dozens of calls and several passes per layer and step, which no second rank
// makes any shorter.
#pragma once

#include <cstdint>
#include <span>

namespace gauntlet::collective {

/// Numbers of one step of Adam, as torch computes them from its options and the step's number.
struct AdamStep {
  double gradient_scale = 1;  ///< what each gradient is multiplied by
  double weight_decay = 0;
  double beta1 = 0, beta2 = 0;
  double root_of_correction2 = 1;  ///< sqrt(1 - beta2^step)
  double eps = 0;
  double step_size = 0;  ///< rate / (1 - beta1^step)
};

// A step in two parts: torch takes the roots between them. Operations and roundings are those of
// torch::optim::Adam.

/// New moments of `n` values; gradients are scaled, then summed in their order (none: zeros).
void adam_moments(const AdamStep& step, std::span<const float* const> gradients, std::int64_t n,
                  const float* values, float* mean, float* square);
void adam_moments(const AdamStep& step, std::span<const double* const> gradients, std::int64_t n,
                  const double* values, double* mean, double* square);
/// New values from the moments, `root` that of `square`; written to `values` and to `copy`.
void adam_values(const AdamStep& step, std::int64_t n, const float* mean, const float* root, float* values,
                 float* copy);
void adam_values(const AdamStep& step, std::int64_t n, const double* mean, const double* root, double* values,
                 double* copy);

/// Rows [n_rows, n_channels] one after the other in memory; a picture whose memory is channels-last is such
/// rows, one for each position.
struct ChannelRows {
  std::int64_t n_rows = 0;
  std::int64_t n_channels = 0;
};

/// Per channel the mean of its values and the sum of squares around it, [n_channels] each.
void channel_moments(const ChannelRows& shape, const float* x, double* mean, double* squares);
void channel_moments(const ChannelRows& shape, const double* x, double* mean, double* squares);

/// Per channel the sum of dy and of dy (x - mean), [n_channels] each.
void channel_gradient_sums(const ChannelRows& shape, const float* x, const float* dy, const double* mean,
                           double* sums, double* products);
void channel_gradient_sums(const ChannelRows& shape, const double* x, const double* dy, const double* mean,
                           double* sums, double* products);

/// y = scale x + offset, with scale and offset by channel.
void channel_affine(const ChannelRows& shape, const float* x, const double* scale, const double* offset,
                    float* y);
void channel_affine(const ChannelRows& shape, const double* x, const double* scale, const double* offset,
                    double* y);

/// out = scale dy + slope x + offset, with the three by channel.
void channel_affine(const ChannelRows& shape, const float* dy, const float* x, const double* scale,
                    const double* slope, const double* offset, float* out);
void channel_affine(const ChannelRows& shape, const double* dy, const double* x, const double* scale,
                    const double* slope, const double* offset, double* out);

}  // namespace gauntlet::collective
