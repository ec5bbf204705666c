// Losses on relaxed codes that models, attacks and defenses share.
#pragma once

#include <torch/torch.h>

namespace gauntlet::models {

/// Which training items share at least one label with each sample: labels [B, C], train_labels [N, C], both
/// 0/1 of any float type → bool [B, N].
[[nodiscard]] torch::Tensor relevance_mask(const torch::Tensor& labels, const torch::Tensor& train_labels);

/// The logsumexp a of Eq. 1 of DRFGD (AAAI 2026), per sample: with the similarity of a relaxed code u to
/// training item j,
///   s_j = -(1/K) [Ham(u, b_j^v) + Ham(u, b_j^t)] = u·(b_j^v + b_j^t) / (2K) - 1,
///   a = log sum_{j in repel} exp((s_j - mean_{attract} s) / tau).
/// Minimising it pulls the code towards the attracting items on average and pushes the nearest repelling ones
/// off. As an attack, attract = irrelevant and repel = relevant items; the alignment loss of Eq. 9 swaps the
/// two. u [B, K] in (-1,1); code_sum [N, K] = b^v + b^t in {-2, 0, 2}; attract, repel bool [B, N]; tau > 0.
/// Returns [B]; a sample whose attract or repel set is empty gets 0 without gradient.
[[nodiscard]] torch::Tensor repel_attract_logsumexp(const torch::Tensor& u, const torch::Tensor& code_sum,
                                                    const torch::Tensor& attract, const torch::Tensor& repel,
                                                    double tau);

/// The loss itself, log(1 + exp(a)) per sample [B]; 0 where a set is empty (such samples still count in a
/// batch mean).
[[nodiscard]] torch::Tensor repel_attract_loss(const torch::Tensor& u, const torch::Tensor& code_sum,
                                               const torch::Tensor& attract, const torch::Tensor& repel,
                                               double tau);

}  // namespace gauntlet::models
