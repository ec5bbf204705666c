#include "core/attacks/detail/pixel_grid.hpp"

#include <algorithm>
#include <cmath>

#include "core/attacks/detail/one_pass.hpp"

namespace gauntlet::attacks {
namespace {

constexpr double kLevels = 255;
constexpr double kTolerance = 1e-4;  // levels: what a float input is off the grid by

/// As std::nearbyint does in the default mode, in two additions that compilers vectorise; |x| < 2^51.
double nearest(double x) {
  constexpr double kShift = 6755399441055744.0;  // 1.5 * 2^52
  return (x + kShift) - kShift;
}

double floor_of(double x) {
  const double level = nearest(x);
  return level > x ? level - 1 : level;
}

double ceil_of(double x) {
  const double level = nearest(x);
  return level < x ? level + 1 : level;
}

}  // namespace

torch::Tensor on_pixel_grid(const torch::Tensor& inputs, const torch::Tensor& clean, const Ball& ball) {
  const double radius = kLevels * ball.epsilon;
  if (goes_in_one_pass(inputs, clean)) {
    const double low = std::ceil(kLevels * ball.low), high = std::floor(kLevels * ball.high);
    return in_one_pass(inputs, clean, [=](float input, float own) {
      const double center = double{own} * kLevels;
      const double least = std::max(ceil_of(center - radius - kTolerance), low);
      const double most = std::min(floor_of(center + radius + kTolerance), high);
      return static_cast<float>(std::min(std::max(nearest(double{input} * kLevels), least), most) / kLevels);
    });
  }
  const torch::Tensor center = clean.to(torch::kFloat64) * kLevels;
  const torch::Tensor least = (center - radius - kTolerance).ceil().clamp_min(std::ceil(kLevels * ball.low));
  const torch::Tensor most =
      (center + radius + kTolerance).floor().clamp_max(std::floor(kLevels * ball.high));
  const torch::Tensor level = (inputs.to(torch::kFloat64) * kLevels).round();
  return (torch::minimum(torch::maximum(level, least), most) / kLevels).to(inputs.scalar_type());
}

}  // namespace gauntlet::attacks
