// Inputs that survive being saved with 8 bits: values k/255 within the budget.
#pragma once

#include "core/attacks/detail/projection.hpp"
#include "core/torch.hpp"

namespace gauntlet::attacks {

/// The nearest k/255 to each value of `inputs`, k among the integers in [255 (clean - epsilon), 255 (clean +
/// epsilon)] and 255 [low, high]: 0.031 allows 7 levels. `clean` lies on the grid; where a bound is within
/// 1e-4 levels of an integer, that integer is allowed.
[[nodiscard]] torch::Tensor on_pixel_grid(const torch::Tensor& inputs, const torch::Tensor& clean,
                                          const Ball& ball);

}  // namespace gauntlet::attacks
