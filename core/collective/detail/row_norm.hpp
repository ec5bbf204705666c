// Batch normalisation over ranks whose tensors are in host memory: loops of one pass around the exchanges.
#pragma once

#include "core/collective/communicator.hpp"

namespace gauntlet::collective {

/// Rows [B, C] or pictures in channels-last memory, in host memory, float or double as their weight.
[[nodiscard]] bool is_rows(const torch::Tensor& input, const torch::Tensor& weight);

/// The global batch normalised, differentiable, for an input that `is_rows`; running values follow. Sums are
/// of doubles, in an order that depends on shapes and ranks alone.
[[nodiscard]] torch::Tensor norm_of_rows(Communicator& ranks, const torch::Tensor& input,
                                         const torch::Tensor& weight, const torch::Tensor& bias,
                                         const torch::Tensor& running_mean, const torch::Tensor& running_var,
                                         double momentum, double eps);

}  // namespace gauntlet::collective
