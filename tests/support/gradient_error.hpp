// Gradients against central differences.
#pragma once

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <functional>

namespace gauntlet::testing {

/// Largest |gradient of `loss` - central difference| over every entry of `at` (double), over max(1, largest
/// |gradient|). `loss` gives a scalar and must be smooth within `step` of `at`.
inline double gradient_error(const torch::Tensor& at,
                             const std::function<torch::Tensor(const torch::Tensor&)>& loss,
                             double step = 1e-6) {
  const torch::Tensor leaf = at.detach().clone().requires_grad_();
  const torch::Tensor gradient = torch::autograd::grad({loss(leaf)}, {leaf}).front().flatten();
  double worst = 0;
  for (std::int64_t entry = 0; entry < at.numel(); ++entry) {
    const auto moved = [&](double by) {
      torch::Tensor point = at.detach().clone();
      point.view(-1)[entry] += by;
      return loss(point).item<double>();
    };
    const double difference = (moved(step) - moved(-step)) / (2 * step);
    worst = std::max(worst, std::abs(difference - gradient[entry].item<double>()));
  }
  return worst / std::max(1.0, gradient.abs().max().item<double>());
}

}  // namespace gauntlet::testing
