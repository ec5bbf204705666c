// What a discriminator's loss is made of, row by row, so that ranks can share the rows of a batch.
#pragma once

#include <functional>

#include "core/torch.hpp"

namespace gauntlet::models {

/// Per row of a batch, without weights: log1p_exp(-D(real)) and log1p_exp(D(fake)), [b, 1]; and (||gradient
/// of D at mix*real + (1-mix)*fake||_2 - 1)^2, [b], differentiable in D's parameters.
struct CriticRows {
  torch::Tensor real, fake, penalty;
};

/// real, fake, mix [b, d], b >= 0; no gradient flows into them.
[[nodiscard]] CriticRows critic_rows(const std::function<torch::Tensor(const torch::Tensor&)>& critic,
                                     const torch::Tensor& real, const torch::Tensor& fake,
                                     const torch::Tensor& mix);

}  // namespace gauntlet::models
