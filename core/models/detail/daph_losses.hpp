// Losses of DAPH, on codes and labels alone. Tu et al., "Data-Aware Proxy Hashing for Cross-modal Retrieval",
// SIGIR 2023, and the authors' code rongchengtu1/DAPH. B batch, N anchors, K code bits, C labels; labels are
// 0/1 with no row of zeros.
#pragma once

#include <vector>

#include "core/torch.hpp"

namespace gauntlet::models {

/// Scale and margin of every term: logits are gamma (similarity - sigma) for what should be near.
struct DaphScale {
  double gamma = 20, sigma = 0.2;
};

/// How term A of stage 1 treats its probabilities; the authors' code has everything on.
struct ProxyTermForm {
  double eps = 1e-5;  ///< added to the denominator and to the probability: caps a term at -log eps; 0: exact
  bool counts_own = false;      ///< an item's own classes enter its denominator as e^0 each
  bool counts_foreign = false;  ///< every other class adds -log(1 + eps), a constant
};

/// A: sum over items of the mean over own classes of -log of the class's probability. Codes z [B, K] and
/// class proxies p [C, K] of length 1.
[[nodiscard]] torch::Tensor proxy_term(const torch::Tensor& codes, const torch::Tensor& classes,
                                       const torch::Tensor& labels, const DaphScale& scale,
                                       const ProxyTermForm& form);

/// O: sum over pairs of classes of max(0, p_c·p_c' - [c = c'])^2; p [C, K].
[[nodiscard]] torch::Tensor class_separation(const torch::Tensor& classes);

/// Q: sum over rows of (z·sign(z)/√K - 1)^2, how far unit rows [n, K] are from binary ones.
[[nodiscard]] torch::Tensor binary_gap(const torch::Tensor& codes);

/// N: ||sum over rows||^2, how far bits are from balance.
[[nodiscard]] torch::Tensor bit_imbalance(const torch::Tensor& codes);

/// Which anchors each item of a batch should meet, by their labels; both networks and both kinds of anchors
/// share them.
struct AnchorSets {
  torch::Tensor positive, negative, partial;  ///< bool [B, N]
  torch::Tensor positive_pairs;               ///< [P, 2] int64: item and anchor of each positive
  torch::Tensor
      partial_weights;   ///< [B, N]: shared labels of partial anchors / (all shared labels of the row + eps)
  torch::Tensor closed;  ///< [B, N]: 0 for negatives, else so low that an exponential vanishes
};
/// labels [B, C], anchor_labels [N, C]. Positive: the same label set, or with `subset` one that contains the
/// item's. Negative: nothing shared. Partial: the rest.
[[nodiscard]] AnchorSets anchor_sets(const torch::Tensor& labels, const torch::Tensor& anchor_labels,
                                     bool subset, double eps);

/// Terms of stage 2 that one set of anchors gives, scalars.
struct AnchorLoss {
  torch::Tensor full;     ///< F, over positives; items without one add 0
  torch::Tensor partial;  ///< W, over items with partial positives; 0 when there is none
};
/// Relaxed codes h [B, K] in (-1,1) against anchors [N, K] ±1.
[[nodiscard]] AnchorLoss anchor_loss(const torch::Tensor& codes, const torch::Tensor& anchors,
                                     const AnchorSets& sets, const DaphScale& scale);

/// K: mean over items of -log of the own classes' mean similarity against the other classes; classes [C, K]
/// ±1.
[[nodiscard]] torch::Tensor class_loss(const torch::Tensor& codes, const torch::Tensor& classes,
                                       const torch::Tensor& labels, const DaphScale& scale);

}  // namespace gauntlet::models
