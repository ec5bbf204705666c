// An adversarial input that is known to exist: an attack that misses it is too weak (Zimmermann et al.,
// *Increasing Confidence in Adversarial Robustness Evaluations*, NeurIPS 2022, adapted to codes).
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "core/attacks/detail/projection.hpp"
#include "core/torch.hpp"

namespace gauntlet::attacks {

struct PlantSettings {
  Ball ball;
  std::int64_t n_steps = 50;     ///< of the attack; 0: nothing is planted
  std::uint64_t seed = 0;        ///< of points
  std::uint64_t start_seed = 0;  ///< of the attack's start
};

/// [B] double, 0 or 1 but for by_chance.
struct PlantedAnswer {
  torch::Tensor tested;     ///< one point could be told from 199 inner ones, and not by luck alone
  torch::Tensor found;      ///< of those: Auto-PGD crossed the read-out
  torch::Tensor easy;       ///< more than half of random corners cross it too, so nothing was tested
  torch::Tensor by_chance;  ///< share of random corners that cross it; 0 where nothing could be planted
};

/// Per input: 199 points uniform within 0.95 of the budget and one corner of it; a logistic read-out of the
/// outputs before tanh (standardised) that holds for the corner alone; an attack on its margin. `encode`:
/// [b, …] → [b, K] in (-1,1), differentiable. Streams are those of the rows.
[[nodiscard]] PlantedAnswer planted_answer(const torch::Tensor& clean, std::span<const std::int64_t> rows,
                                           const PlantSettings& settings,
                                           const std::function<torch::Tensor(const torch::Tensor&)>& encode);

/// ±1 like `clean` [B, …], from the streams of (seed, tag, row).
[[nodiscard]] torch::Tensor random_signs(const torch::Tensor& clean, std::span<const std::int64_t> rows,
                                         std::uint64_t seed, std::uint64_t tag);

}  // namespace gauntlet::attacks
