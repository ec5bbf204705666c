// Terms of training objectives that several target models share. softplus(x) = log(1 + e^x) is computed
// without overflow.
#pragma once

#include <functional>

#include "core/torch.hpp"

namespace gauntlet::models {

/// log(1 + e^x), the softplus, without overflow and exact at any size of x.
[[nodiscard]] torch::Tensor log1p_exp(const torch::Tensor& x);

/// Negative log-likelihood of pairwise similarity, summed: sum_ij [log1p_exp(theta_ij) - similar_ij
/// theta_ij]. theta, similar (0/1): [B, B'].
[[nodiscard]] torch::Tensor pairwise_likelihood(const torch::Tensor& theta, const torch::Tensor& similar);

using Critic = std::function<torch::Tensor(const torch::Tensor&)>;

/// Terms of a discriminator's loss, scalars; the penalty comes with its weight.
struct CriticLoss {
  torch::Tensor real, fake, penalty;
  [[nodiscard]] torch::Tensor total() const { return real + fake + penalty; }
};

/// Means over the rows of critic_rows.hpp, the penalty's times its weight; real, fake, mix [B, d].
[[nodiscard]] CriticLoss critic_loss(const Critic& critic, const torch::Tensor& real,
                                     const torch::Tensor& fake, const torch::Tensor& mix,
                                     double penalty_weight);

/// sum_i ||b_i - h_i^v||^2 + ||b_i - h_i^t||^2 of codes b and relaxed codes h, all [B, K].
[[nodiscard]] torch::Tensor quantisation_loss(const torch::Tensor& codes, const torch::Tensor& image,
                                              const torch::Tensor& text);

/// Rows of length 1: x [B, d] with no row of zeros.
[[nodiscard]] torch::Tensor unit_rows(const torch::Tensor& x);

/// +1 where x > 0, -1 elsewhere.
[[nodiscard]] torch::Tensor signs(const torch::Tensor& x);

/// The codes [N, K] of a training set after an epoch: signs(image + text) of the relaxed codes its items have
/// had last; rows of zeros in `image`, which no batch has visited, keep what `codes` holds.
[[nodiscard]] torch::Tensor codes_of_visited(const torch::Tensor& image, const torch::Tensor& text,
                                             const torch::Tensor& codes);

}  // namespace gauntlet::models
