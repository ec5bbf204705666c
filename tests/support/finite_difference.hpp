// Gradients against central differences, in double.
#pragma once

#include <gmock/gmock.h>
#include <torch/torch.h>

#include <algorithm>
#include <functional>

namespace gauntlet::testing {

inline constexpr double kDifferenceStep = 1e-6;

/// d value / d entry, by moving that entry of `tensor` up and down in place; `value` reads the tensor.
inline double central_difference(const torch::Tensor& tensor, std::int64_t entry,
                                 const std::function<torch::Tensor()>& value) {
  const torch::NoGradGuard no_grad;
  const auto at = [&](double moved) {
    torch::Tensor element = tensor.view(-1)[entry];
    const double before = element.item<double>();
    element.fill_(before + moved);
    double found = 0;
    {
      const torch::AutoGradMode with_gradient(true);  // what is differentiated may itself take gradients
      found = value().item<double>();
    }
    element.fill_(before);
    return found;
  };
  return (at(kDifferenceStep) - at(-kDifferenceStep)) / (2 * kDifferenceStep);
}

/// The gradient of a scalar function at a contiguous double tensor equals its central differences, entry by
/// entry, to `tolerance` times max(1, largest gradient); and is not all zero.
inline void expect_gradient(const torch::Tensor& at,
                            const std::function<torch::Tensor(const torch::Tensor&)>& value,
                            double tolerance = 1e-7) {
  const torch::Tensor leaf = at.detach().clone().requires_grad_();
  const torch::Tensor gradient = torch::autograd::grad({value(leaf)}, {leaf}).front().reshape(-1);
  const torch::Tensor moved = at.detach().clone();
  const double scale = std::max(1.0, gradient.abs().max().item<double>());
  EXPECT_GT(gradient.abs().max().item<double>(), 0);
  for (std::int64_t entry = 0; entry < moved.numel(); ++entry) {
    const double difference = central_difference(moved, entry, [&] { return value(moved); });
    EXPECT_NEAR(gradient[entry].item<double>(), difference, tolerance * scale) << entry;
  }
}

/// The same for some entries of a module's parameters: `value` runs the module and returns a scalar after
/// which the parameters' gradients are those of the scalar, as a training step with learning rate 0 does.
inline void expect_parameter_gradients(const torch::nn::Module& module,
                                       const std::function<torch::Tensor()>& value, double tolerance = 1e-6) {
  static_cast<void>(value());
  std::vector<std::pair<std::string, torch::Tensor>> gradients;
  for (const auto& parameter : module.named_parameters()) {
    EXPECT_TRUE(parameter.value().grad().defined()) << parameter.key();
    if (!parameter.value().grad().defined()) continue;
    gradients.emplace_back(parameter.key(), parameter.value().grad().detach().clone().reshape(-1));
  }
  double scale = 0;
  for (const auto& [name, gradient] : gradients) {
    scale = std::max(scale, gradient.abs().max().item<double>());
  }
  EXPECT_GT(scale, 0);
  const auto parameters = module.named_parameters();
  for (const auto& [name, gradient] : gradients) {
    // The largest entry, which says most, and the first one.
    for (const std::int64_t entry : {gradient.abs().argmax().item<std::int64_t>(), std::int64_t{0}}) {
      const double difference = central_difference(parameters[name].detach(), entry, value);
      EXPECT_NEAR(gradient[entry].item<double>(), difference, tolerance * std::max(1.0, scale))
          << name << " " << entry;
    }
  }
}

}  // namespace gauntlet::testing
