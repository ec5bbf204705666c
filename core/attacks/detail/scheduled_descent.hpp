// Descent inside a budget whose loss changes from step to step and whose steps need not be signs.
#pragma once

#include <cstdint>
#include <functional>

#include "core/attacks/attack.hpp"
#include "core/attacks/detail/projection.hpp"
#include "core/torch.hpp"

namespace gauntlet::attacks {

/// The ball of the attacked modality, in its valid range.
[[nodiscard]] Ball ball_of(const AttackSurface& surface, double epsilon_image, double epsilon_text);

/// Inputs [B, …] at step number `step` (from 0) → one loss per input [B].
using ScheduledLoss = std::function<torch::Tensor(const torch::Tensor& inputs, std::int64_t step)>;

/// The gradient [B, …] of the sum of losses → what is subtracted from the perturbation. May keep state
/// (momentum).
using StepRule = std::function<torch::Tensor(const torch::Tensor& gradient)>;

/// The signs of the gradient, times `size`.
[[nodiscard]] StepRule signed_steps(double size);
/// The gradient of each input divided by its L2 norm (guarded by 1e-12), times `size`.
[[nodiscard]] StepRule normalized_steps(double size);
/// `size` times v, v <- momentum v + gradient (stochastic gradient descent; plain gradient when momentum is
/// 0).
[[nodiscard]] StepRule momentum_steps(double size, double momentum);

/// From delta = 0, n_steps times: delta <- projected(delta - rule(gradient)). Returns applied_within(clean,
/// delta).
[[nodiscard]] torch::Tensor descend_scheduled(const torch::Tensor& clean, std::int64_t n_steps,
                                              const Ball& ball, const ScheduledLoss& loss,
                                              const StepRule& rule);

}  // namespace gauntlet::attacks
