// Auto-PGD inside an L-infinity ball (Croce and Hein, ICML 2020, as released): momentum, and a step size that
// is halved where progress stops. Every input goes its own way: none depends on its batch.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/attacks/detail/projection.hpp"
#include "core/torch.hpp"

namespace gauntlet::attacks {

/// What is maximised, at some items of the batch: values [b], gradient [b, …].
struct Slope {
  torch::Tensor value, gradient;
};
/// `inputs` [b, …] belong to the batch's items `items` [b] int64.
using Ascent = std::function<Slope(const torch::Tensor& inputs, const torch::Tensor& items)>;

/// Steps after which the step size is looked at, ascending, none beyond n_steps: windows of 22 % of n_steps,
/// each shorter by 3 % (at least 1) than the one before, but not below 6 % (at least 1).
[[nodiscard]] std::vector<std::int64_t> apgd_checkpoints(std::int64_t n_steps);

/// x + epsilon u / max|u|, u uniform in [-1, 1] from the stream of (seed, row), within the ball.
[[nodiscard]] torch::Tensor apgd_start(const torch::Tensor& clean, std::span<const std::int64_t> rows,
                                       std::uint64_t seed, const Ball& ball);

struct ApgdSettings {
  std::int64_t n_steps = 100;
  Ball ball;
  bool on_grid = false;  ///< the network is always given inputs on the grid of k/255 (see on_pixel_grid)
};

struct ApgdHooks {
  /// Another start [b, …] for items whose gradient at the first is zero or not finite. May be empty.
  std::function<torch::Tensor(const torch::Tensor& items)> restart = {};
  /// Told the inputs (as the network gets them) at every checkpoint. [b] bool: items that need no further
  /// step. May be empty.
  std::function<torch::Tensor(const torch::Tensor& inputs, const torch::Tensor& items)> watch = {};
};

/// One value per input of the batch; inputs are exactly within the ball, and on the grid if that is set.
struct ApgdOutcome {
  torch::Tensor best, last;              ///< [B, …] of the greatest value, and of the last step
  torch::Tensor best_value, last_value;  ///< [B] double
  torch::Tensor no_gradient;             ///< [B] bool: zero at the start, or not finite at any step
  /// [B] bool: more than 5 % of all that was gained came in the last tenth of the steps.
  torch::Tensor still_rising;
};

/// From `start` (within the ball). A gradient that is zero or not finite moves nothing, a value that is not
/// finite counts as the least.
[[nodiscard]] ApgdOutcome apgd(const torch::Tensor& clean, const torch::Tensor& start, const Ascent& ascent,
                               const ApgdSettings& settings, const ApgdHooks& hooks);

}  // namespace gauntlet::attacks
