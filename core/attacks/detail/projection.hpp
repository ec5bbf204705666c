// The budget of a perturbation and descent inside it, in one place.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "core/torch.hpp"

namespace gauntlet::attacks {

/// An L-infinity ball around the clean input, cut to the valid range. All in units of the input.
struct Ball {
  double epsilon = 0;
  double low = 0;
  double high = 1;
};

/// The nearest allowed perturbation: |delta| <= epsilon and clean + delta within [low, high].
[[nodiscard]] torch::Tensor projected(const torch::Tensor& delta, const torch::Tensor& clean,
                                      const Ball& ball);

/// clean + delta, within [low, high] exactly.
[[nodiscard]] torch::Tensor applied(const torch::Tensor& clean, const torch::Tensor& delta, const Ball& ball);

/// clean + delta, within [low, high] and within epsilon of `clean` exactly: a float sum may be rounded to
/// just outside the budget, and is then moved back by one unit in the last place. What an attack hands out.
/// Doubles are as `applied` leaves them.
[[nodiscard]] torch::Tensor applied_within(const torch::Tensor& clean, const torch::Tensor& delta,
                                           const Ball& ball);

/// A projected random start, uniform in [-epsilon, epsilon]: input i draws from the stream of (seed,
/// rows[i]).
[[nodiscard]] torch::Tensor random_start(const torch::Tensor& clean, std::span<const std::int64_t> rows,
                                         std::uint64_t seed, const Ball& ball);

struct SignDescent {
  Ball ball;
  double step = 0;
  std::int64_t n_steps = 0;
};

/// From `start` (a projected perturbation), n_steps times: delta <- projected(delta - step * sign(gradient)),
/// where the gradient is that of the sum of `loss` (inputs [B, …] → [B]). Returns the last perturbation. A
/// gradient of exactly 0 moves nothing.
[[nodiscard]] torch::Tensor descend(const torch::Tensor& clean, const torch::Tensor& start,
                                    const std::function<torch::Tensor(const torch::Tensor&)>& loss,
                                    const SignDescent& descent);

}  // namespace gauntlet::attacks
