// The losses of DRFGD (Eqs. 4 to 12) as one value per row, so that the mean over a batch that is spread over
// ranks is a sum of the ranks' shares. Batch means are the caller's.
#pragma once

#include <cstdint>

#include "core/torch.hpp"

namespace gauntlet::defenses {

/// D_KL(p‖q) + D_KL(q‖p) of p = softmax(a), q = softmax(b) over the feature dimension; [B, Z] → [B], >= 0.
[[nodiscard]] torch::Tensor symmetric_kl(const torch::Tensor& a, const torch::Tensor& b);

/// Eq. 4 as printed pulls the two branches together (kLiteral); kSeparate is the hinge max(0, margin − symKL)
/// that the paper's text describes.
enum class Divergence : std::uint8_t { kLiteral, kSeparate };
[[nodiscard]] torch::Tensor divergence(const torch::Tensor& z_arf, const torch::Tensor& z_avf,
                                       Divergence form, double margin);

/// Eqs. 5 and 6: −Σ_c t_c log softmax(logits)_c with t = labels, or labels / |labels| when `normalized`. [B,
/// C] → [B]; a row without labels counts 0. The reversed term takes 1 − labels.
[[nodiscard]] torch::Tensor multi_label_cross_entropy(const torch::Tensor& logits,
                                                      const torch::Tensor& labels, bool normalized);

/// Mean of (a − b)² over everything but the rows; [B, …] → [B].
[[nodiscard]] torch::Tensor squared_error(const torch::Tensor& a, const torch::Tensor& b);

/// kBce: binary cross entropy on logits, real = 1. kLeastSquares: squares on sigmoid outputs, real = 0, fake
/// = 1.
enum class AdversarialGame : std::uint8_t { kBce, kLeastSquares };
/// Eq. 11 for one item: what D pays for a clean input. [B] → [B].
[[nodiscard]] torch::Tensor discriminator_real(const torch::Tensor& logits, AdversarialGame game);
/// Eq. 11: what D pays for a regenerated input.
[[nodiscard]] torch::Tensor discriminator_fake(const torch::Tensor& logits, AdversarialGame game);
/// Eq. 12: what the generator pays.
[[nodiscard]] inline torch::Tensor generator_fake(const torch::Tensor& logits, AdversarialGame game) {
  return discriminator_real(logits, game);
}

/// What D's verdict means: bool [B], true where an input is more likely generated than real.
[[nodiscard]] torch::Tensor looks_generated(const torch::Tensor& logits, AdversarialGame game);

}  // namespace gauntlet::defenses
