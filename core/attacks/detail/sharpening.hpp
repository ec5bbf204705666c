// The sharpened activation tanh(alpha z) of iterative attacks on hash networks: a small alpha keeps gradients
// alive at the start, alpha = 1 at the end is the network itself (HashNet's continuation; SAAT's attacks).
#pragma once

#include <cstdint>

#include "core/torch.hpp"

namespace gauntlet::attacks {

/// alpha of step `step` (from 0) of `n_steps`: 0.1 in the first half, then 0.2, 0.3, 0.5, 0.7 and 1.0, a
/// tenth of the steps each.
[[nodiscard]] double sharpness(std::int64_t step, std::int64_t n_steps);

/// tanh(alpha z) of a relaxed code tanh(z) in (-1,1), any shape; so it works on any pipeline, of which only
/// codes are seen. z is found by atanh of the code, held off ±1 by 1e-6 in float (|z| <= 7.3) and by 8
/// machine epsilons in double (|z| <= 17.3). The gradient passes that limit as if it were not there, so that
/// a bit beyond it can still be turned as long as its own tanh has a gradient.
[[nodiscard]] torch::Tensor sharpened(const torch::Tensor& code, double alpha);

/// The code held off ±1 in that way, with the gradient of the code itself.
[[nodiscard]] torch::Tensor unsaturated(const torch::Tensor& code);

}  // namespace gauntlet::attacks
