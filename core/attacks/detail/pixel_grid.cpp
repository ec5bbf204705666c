#include "core/attacks/detail/pixel_grid.hpp"

namespace gauntlet::attacks {
namespace {

constexpr double kLevels = 255;
constexpr double kTolerance = 1e-4;  // levels: what a float input is off the grid by

}  // namespace

torch::Tensor on_pixel_grid(const torch::Tensor& inputs, const torch::Tensor& clean, const Ball& ball) {
  const torch::Tensor center = clean.to(torch::kFloat64) * kLevels;
  const double radius = kLevels * ball.epsilon;
  const torch::Tensor least = (center - radius - kTolerance).ceil().clamp_min(std::ceil(kLevels * ball.low));
  const torch::Tensor most =
      (center + radius + kTolerance).floor().clamp_max(std::floor(kLevels * ball.high));
  const torch::Tensor level = (inputs.to(torch::kFloat64) * kLevels).round();
  return (torch::minimum(torch::maximum(level, least), most) / kLevels).to(inputs.scalar_type());
}

}  // namespace gauntlet::attacks
