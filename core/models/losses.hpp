// Losses on relaxed codes that models, attacks and defenses share.
#pragma once

#include "core/torch.hpp"

namespace gauntlet::models {

/// Which training items share at least one label with each sample: labels [B, C], train_labels [N, C], both
/// 0/1 of any float type → bool [B, N].
[[nodiscard]] torch::Tensor relevance_mask(const torch::Tensor& labels, const torch::Tensor& train_labels);

/// Eqs. 1 and 9 of DRFGD (AAAI 2026) for one batch and one pair of sets, evaluated as often as needed. With
/// the similarity of a relaxed code u to training item j,
///   s_j = -(1/K) [Ham(u, b_j^v) + Ham(u, b_j^t)] = u·(b_j^v + b_j^t) / (2K) - 1,
///   a = log sum_{j in repel} exp((s_j - mean_{attract} s) / tau),   L = log(1 + exp(a)).
/// Minimising it pulls the code towards the attracting items on average and pushes the nearest repelling ones
/// off. As an attack (Eq. 1), attract = irrelevant and repel = relevant items; the alignment loss (Eq. 9)
/// swaps the two.
class RepelAttract {
 public:
  /// code_sum [N, K] = b^v + b^t in {-2, 0, 2}, of the type of the codes u; attract, repel bool [B, N]; tau >
  /// 0.
  RepelAttract(const torch::Tensor& code_sum, const torch::Tensor& attract, const torch::Tensor& repel,
               double tau);

  /// a per sample: u [B, K] in (-1,1) → [B]. It has the sign of L's gradient and does not underflow. A sample
  /// whose attract or repel set is empty gets 0 without gradient.
  [[nodiscard]] torch::Tensor logsumexp(const torch::Tensor& u) const;
  /// L per sample [B]; 0 where a set is empty (such samples still count in a batch mean).
  [[nodiscard]] torch::Tensor loss(const torch::Tensor& u) const;
  /// bool [B]: neither set of the sample is empty.
  [[nodiscard]] const torch::Tensor& complete() const { return complete_; }

 private:
  [[nodiscard]] torch::Tensor exponent(const torch::Tensor& u) const;

  torch::Tensor complete_;
  torch::Tensor scaled_codes_;   // [N, K]: code_sum / (2 K tau)
  torch::Tensor scaled_center_;  // [B, K]: mean of scaled_codes_ over the attracting items
  torch::Tensor closed_;         // [B, N]: -inf where an item does not repel, else 0
};

/// RepelAttract::logsumexp of sets that are used once.
[[nodiscard]] torch::Tensor repel_attract_logsumexp(const torch::Tensor& u, const torch::Tensor& code_sum,
                                                    const torch::Tensor& attract, const torch::Tensor& repel,
                                                    double tau);

/// RepelAttract::loss of sets that are used once.
[[nodiscard]] torch::Tensor repel_attract_loss(const torch::Tensor& u, const torch::Tensor& code_sum,
                                               const torch::Tensor& attract, const torch::Tensor& repel,
                                               double tau);

}  // namespace gauntlet::models
