// Objectives whose rows are spread over ranks: each rank has its share, and all see the same value.
// Convention (core/collective/communicator.hpp): gradients are averaged over ranks, so a share is what makes
// the mean over ranks the global batch's.
#pragma once

#include <vector>

#include "core/collective/communicator.hpp"
#include "core/torch.hpp"

namespace gauntlet::models {

/// Means of scalars over ranks, without gradient; one exchange.
[[nodiscard]] std::vector<double> means_over_ranks(collective::Communicator& ranks,
                                                   const std::vector<torch::Tensor>& scalars);

/// A scalar with the value of the mean over ranks and the gradient of this rank's share.
[[nodiscard]] torch::Tensor with_value_of_all(collective::Communicator& ranks, const torch::Tensor& share);

}  // namespace gauntlet::models
