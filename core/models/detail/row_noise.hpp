// Random tensors whose row i belongs to one training item, so that they do not depend on batches or ranks.
#pragma once

#include <torch/torch.h>

#include <cstdint>

namespace gauntlet::models {

/// [n_rows, n_columns] of -1 and +1, each with probability 1/2.
[[nodiscard]] torch::Tensor random_signs(std::int64_t n_rows, std::int64_t n_columns, std::uint64_t seed,
                                         torch::Dtype dtype);

/// [n_rows, n_columns] from the standard normal distribution; `purpose` keeps draws with one seed apart.
[[nodiscard]] torch::Tensor random_normals(std::int64_t n_rows, std::int64_t n_columns, std::uint64_t seed,
                                           std::uint64_t purpose, torch::Dtype dtype);

/// Dropout of one step: [B, width] that is 0 with probability `rate` in [0, 1) and 1 / (1 - rate) otherwise.
/// Row i draws from the stream of (seed, purpose, step, rows[i]); rows [B] int64.
[[nodiscard]] torch::Tensor dropout_mask(const torch::Tensor& rows, std::int64_t width, double rate,
                                         std::uint64_t seed, std::uint64_t purpose, std::int64_t step,
                                         torch::Dtype dtype);

}  // namespace gauntlet::models
