#include "core/attacks/detail/sharpening.hpp"

#include <array>
#include <limits>

#include "core/base/check.hpp"

namespace gauntlet::attacks {
namespace {

constexpr std::int64_t kTenths = 10;
constexpr std::array<double, kTenths> kAlphaOfTenth = {0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0};

// Closer to ±1 than this, z = atanh(u) is lost to rounding: |z| <= 7.3 in float, 17.3 in double.
constexpr double kSaturationFloat = 1e-6;
constexpr double kSaturationDouble = 8 * std::numeric_limits<double>::epsilon();

}  // namespace

double sharpness(std::int64_t step, std::int64_t n_steps) {
  GAUNTLET_CHECK(0 <= step && step < n_steps);
  return kAlphaOfTenth.at(static_cast<std::size_t>(kTenths * step / n_steps));
}

torch::Tensor unsaturated(const torch::Tensor& code) {
  const double limit = 1 - (code.scalar_type() == torch::kDouble ? kSaturationDouble : kSaturationFloat);
  return code + (code.clamp(-limit, limit) - code).detach();
}

torch::Tensor sharpened(const torch::Tensor& code, double alpha) {
  return torch::tanh(alpha * torch::atanh(unsaturated(code)));
}

}  // namespace gauntlet::attacks
