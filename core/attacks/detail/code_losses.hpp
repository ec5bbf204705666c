// Objectives on relaxed codes of the attacks that were made for one modality, and codes to aim at.
#pragma once

#include <cstdint>

#include "core/torch.hpp"

namespace gauntlet::attacks {

/// h·c / K per input [B]: relaxed codes h [B, K], codes c [B, K] ±1. Minimised, it leaves c; its negative
/// goes to c.
[[nodiscard]] torch::Tensor code_agreement(const torch::Tensor& code, const torch::Tensor& anchor);

/// ±1 of a sum of codes, 0 counting as -1: the bit most of the codes have. [n, K] → [K].
[[nodiscard]] torch::Tensor majority_code(const torch::Tensor& codes);

struct HagLoss {
  double threshold = 0.5;
  double beta = 1;
};

/// Hash adversary generation (Yang et al. 2018; the form of SAAT's release) per input [B]:
///   (Σ_mask h h0 / m + beta)² + ((1/K) Σ_mask h)²,   mask = |h - sign(h0)| <= 1 + threshold,   m = Σ mask.
/// Bits that are flipped for good leave the mask. code h, clean h0 (unsigned, constant): [B, K] in (-1,1).
[[nodiscard]] torch::Tensor hag_loss(const torch::Tensor& code, const torch::Tensor& clean,
                                     const HagLoss& form);

}  // namespace gauntlet::attacks
