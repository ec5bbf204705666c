// Terms of training objectives that several target models share. softplus(x) = log(1 + e^x) is computed
// without overflow.
#pragma once

#include <torch/torch.h>

#include <functional>

namespace gauntlet::models {

[[nodiscard]] torch::Tensor softplus(const torch::Tensor& x);

/// Negative log-likelihood of pairwise similarity, summed: sum_ij [softplus(theta_ij) - similar_ij theta_ij].
/// theta, similar (0/1): [B, B'].
[[nodiscard]] torch::Tensor pairwise_likelihood(const torch::Tensor& theta, const torch::Tensor& similar);

/// mean_i (||gradient of the critic at mix*real + (1-mix)*fake||_2 - 1)^2; differentiable in the critic's
/// parameters. real, fake, mix [B, d]; no gradient flows into them.
[[nodiscard]] torch::Tensor gradient_penalty(const std::function<torch::Tensor(const torch::Tensor&)>& critic,
                                             const torch::Tensor& real, const torch::Tensor& fake,
                                             const torch::Tensor& mix);

}  // namespace gauntlet::models
