// Purification of TPAP: one signed step away from the code that the network gives an input.
#pragma once

#include <functional>

#include "core/attacks/descent.hpp"
#include "core/torch.hpp"

namespace gauntlet::defenses {

/// The code of the Hamming-nearest training item, by a table.
struct NearestCode {
  torch::Tensor codes;     ///< [N, K] ±1: what distances are taken to
  torch::Tensor mainstay;  ///< [N, K] ±1: what is answered

  /// Relaxed codes u [B, K] → rows of `mainstay`; ties go to the first item.
  [[nodiscard]] torch::Tensor of(const torch::Tensor& u) const;
  /// [B] int64: the nearest items themselves.
  [[nodiscard]] torch::Tensor index_of(const torch::Tensor& u) const;
};

/// x + epsilon sign(gradient of the loss) within the ball: inputs [B, …] → losses [B] or their sum. x needs
/// no gradient; works while gradients are off.
[[nodiscard]] torch::Tensor signed_step_up(const torch::Tensor& x,
                                           const std::function<torch::Tensor(const torch::Tensor&)>& loss,
                                           const attacks::Ball& ball);

/// signed_step_up for the loss -u·c, where u = encode(x) and c = code(u).
[[nodiscard]] torch::Tensor purified_by_step(const torch::Tensor& x,
                                             const std::function<torch::Tensor(const torch::Tensor&)>& encode,
                                             const std::function<torch::Tensor(const torch::Tensor&)>& code,
                                             const attacks::Ball& ball);

/// What an adaptive attack differentiates in place of the step: x + epsilon tanh(g / median|g|) within the
/// ball, where g is the gradient of -u·tanh z, z before tanh, and the median is that of an input's values.
/// Differentiable in x, with second derivatives of `encode`.
[[nodiscard]] torch::Tensor unrolled_step(const torch::Tensor& x,
                                          const std::function<torch::Tensor(const torch::Tensor&)>& encode,
                                          const attacks::Ball& ball);

}  // namespace gauntlet::defenses
