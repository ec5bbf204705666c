#include "core/attacks/detail/sharpening.hpp"

#include <array>
#include <limits>

namespace gauntlet::attacks {
namespace {

constexpr std::int64_t kTenths = 10;
constexpr std::array<double, kTenths> kAlphaOfTenth = {0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0};

}  // namespace

double sharpness(std::int64_t step, std::int64_t n_steps) {
  return kAlphaOfTenth.at(static_cast<std::size_t>(kTenths * step / n_steps));
}

torch::Tensor sharpened(const torch::Tensor& code, double alpha) {
  if (alpha == 1) return code;
  const double precision = code.scalar_type() == torch::kFloat64 ? std::numeric_limits<double>::epsilon()
                                                                 : std::numeric_limits<float>::epsilon();
  const double limit = 1 - 4 * precision;
  return torch::tanh(alpha * torch::atanh(code.clamp(-limit, limit)));
}

}  // namespace gauntlet::attacks
