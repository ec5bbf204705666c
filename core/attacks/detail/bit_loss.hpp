// What gradient attacks on codes maximise, per input and independent of its batch. Relaxed codes h [b, K] in
// (-1,1), anchors [b, K] ±1.
#pragma once

#include "core/torch.hpp"

namespace gauntlet::attacks {

/// m² + 2m, m = max(o, -1/2): the loss of SAAT's release, whose masked mean jumps where a bit turns, made
/// continuous and monotone; the same sign of the gradient per input. Any shape.
[[nodiscard]] torch::Tensor bit_loss(const torch::Tensor& o);

/// -(1/K) Σ w_j φ(h_j c_j): grows as h leaves c. `weights` [b, K] may be undefined: 1.
[[nodiscard]] torch::Tensor away_from(const torch::Tensor& code, const torch::Tensor& anchor,
                                      const torch::Tensor& weights = {});
/// -(1/K) Σ w_j φ(-h_j c_j): grows as h comes to c.
[[nodiscard]] torch::Tensor toward(const torch::Tensor& code, const torch::Tensor& anchor,
                                   const torch::Tensor& weights = {});

/// What a network gives before its tanh, from what it gives after it; within atanh(1 - 1e-6) in float. The
/// gradient of a saturated bit is that at this limit times what its own tanh has left.
[[nodiscard]] torch::Tensor before_tanh(const torch::Tensor& code);

/// -(1/K) Σ max(o_j, -1/2), o_j = sign(z_j(x)) z_j(x') / mean|z(x)|: leaves its own clean code, without tanh
/// and without a scale. `logits`, `clean_logits` [b, K] before tanh.
[[nodiscard]] torch::Tensor margin(const torch::Tensor& logits, const torch::Tensor& clean_logits);

/// -logsumexp over the repelling items j of (s_j - S)/τ, s_j = -(1/K) Ham(h, b_j), S the mean of s over the
/// others; 0 without gradient where either set is empty. codes [N, K], repel [b, N] bool.
[[nodiscard]] torch::Tensor off_the_nearest(const torch::Tensor& code, const torch::Tensor& codes,
                                            const torch::Tensor& repel, double tau);

}  // namespace gauntlet::attacks
