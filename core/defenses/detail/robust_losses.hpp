// Losses of the defenses that train a robust copy of the target.
#pragma once

#include <vector>

#include "core/torch.hpp"

namespace gauntlet::defenses {

/// mean over sets of 1/(N B) sum_ij (u_i·U_j / K - (2 S_ij - 1))²: u [B, K]; every set U [N, K], without
/// gradient; similar bool [B, N]. The benign loss of DPH and ATRDH, for one set or the codes of both
/// modalities.
[[nodiscard]] torch::Tensor pairwise_regression(const torch::Tensor& u,
                                                const std::vector<torch::Tensor>& sets,
                                                const torch::Tensor& similar);

/// mean (u - sgn u)².
[[nodiscard]] torch::Tensor quantisation(const torch::Tensor& u);

/// con(u, v) = -1/B sum_i 1/|P(i)| sum_{j in P(i)} [cos_ij / t - LSE_j' (cos_ij' / t)], positives bool [B,
/// B]. A row without positives contributes 0 and stays in the divisor.
[[nodiscard]] torch::Tensor contrastive(const torch::Tensor& u, const torch::Tensor& v,
                                        const torch::Tensor& positives, double temperature);
/// (con(u, v) + con(v, u)) / 2.
[[nodiscard]] torch::Tensor symmetric_contrastive(const torch::Tensor& u, const torch::Tensor& v,
                                                  const torch::Tensor& positives, double temperature);

}  // namespace gauntlet::defenses
