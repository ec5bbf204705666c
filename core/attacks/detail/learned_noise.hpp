// The optimisation of CMLA (Li et al., NeurIPS 2019): additive noise, learned with Adam, that parts an input
// from the other modality's codes and keeps it at those of its own.
#pragma once

#include <cstdint>
#include <functional>

#include "core/torch.hpp"

namespace gauntlet::attacks {

/// Limits the data and passes gradients on the bounds too, where torch's clamp may stop them: 0/1 texts and
/// black or white pixels would never move.
[[nodiscard]] torch::Tensor clamp_inclusive(const torch::Tensor& data, double low, double high);

/// Weights of the three terms.
struct NoiseWeights {
  double cross = 1, own = 1, size = 1;
};

/// What an input is compared with, and how much each comparison counts.
struct NoisePairs {
  torch::Tensor codes_other;  ///< [P, K] ±1, codes of the other modality
  torch::Tensor codes_own;    ///< [P, K] ±1, codes of the attacked modality
  torch::Tensor similar;      ///< [B, P] 0/1: shares a label with the input
  torch::Tensor weights;      ///< [B, P]; the rows' sums are 1 for means over pairs
};

/// The three terms per input [B]: log(1 + e^-G) + S G with G = h·b_other, log(1 + e^T) - S T with T =
/// h·b_own, both weighted sums over pairs, and the mean of |x_adv - x|.
struct NoiseLoss {
  torch::Tensor cross, own, size;
};
[[nodiscard]] NoiseLoss noise_loss(const torch::Tensor& code, const NoisePairs& pairs,
                                   const torch::Tensor& change);
[[nodiscard]] inline torch::Tensor total(const NoiseLoss& loss, const NoiseWeights& weights) {
  return weights.cross * loss.cross + weights.own * loss.own + weights.size * loss.size;
}

enum class AdamForm : std::uint8_t {
  kTorch,       ///< step lr m̂ / (sqrt(v̂) + eps), both moments corrected
  kTensorFlow,  ///< step lr sqrt(1 - b2^t)/(1 - b1^t) m / (sqrt(v) + eps), as the release's framework
};

struct NoiseSearch {
  std::int64_t n_steps = 0;
  double lr = 0, beta1 = 0.9, beta2 = 0.999, adam_epsilon = 1e-8;
  AdamForm adam = AdamForm::kTorch;
  double noise_low = 0, noise_high = 0;  ///< the noise is clipped to this after every step
  double data_low = 0, data_high = 1;    ///< valid range of the sum
};

struct LearnedNoise {
  torch::Tensor clipped;    ///< after the last step and its clip
  torch::Tensor unclipped;  ///< after the last step, before its clip: what the release stores
};

/// Learns noise for `clean` [B, …] from 0. `loss`: (clean + noise) within the range, change from clean →
/// scalar. All in units of `clean`.
[[nodiscard]] LearnedNoise learn_noise(
    const torch::Tensor& clean, const NoiseSearch& search,
    const std::function<torch::Tensor(const torch::Tensor& data, const torch::Tensor& change)>& loss);

}  // namespace gauntlet::attacks
