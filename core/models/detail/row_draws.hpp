// Random draws that belong to training rows, so that they depend neither on the composition of a batch nor on
// how ranks share it.
#pragma once

#include <cstdint>

#include "core/torch.hpp"

namespace gauntlet::models {

/// The draws of one step for some rows.
struct RowDraws {
  std::uint64_t seed = 0;
  std::int64_t step = 0;
  torch::Tensor rows;  ///< [B] int64, positions within the training set

  /// [B, width] float32, uniform in [0,1); `tag` names the purpose.
  [[nodiscard]] torch::Tensor uniform(std::uint64_t tag, std::int64_t width) const;
  /// [B, width] float32 from the standard normal distribution.
  [[nodiscard]] torch::Tensor normal(std::uint64_t tag, std::int64_t width) const;
};

/// Dropout: each value of x [B, width] becomes 0 with probability p in [0,1), the others are scaled by
/// 1/(1-p). Without draws (nullptr), x as it is.
[[nodiscard]] torch::Tensor dropped(const torch::Tensor& x, double p, const RowDraws* draws,
                                    std::uint64_t tag);

/// ±1 at random, [n_rows, n_bits]: what a code matrix starts from.
[[nodiscard]] torch::Tensor random_codes(std::int64_t n_rows, std::int64_t n_bits, std::uint64_t seed,
                                         torch::Dtype dtype);

}  // namespace gauntlet::models
