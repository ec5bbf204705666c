// Numbers that are the same everywhere, and gradients against central differences, in double.
#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include "core/torch.hpp"

namespace gauntlet::testing {

using ScalarOf = std::function<torch::Tensor(const torch::Tensor&)>;

inline constexpr double kDifferenceStep = 1e-6;

/// Irregular numbers in (-1, 1), double.
inline torch::Tensor waves(torch::IntArrayRef shape, double frequency) {
  std::int64_t n_values = 1;
  for (const std::int64_t size : shape) n_values *= size;
  return torch::sin(torch::arange(1, n_values + 1, torch::kFloat64) * frequency).view(shape);
}

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

/// Largest |gradient - central difference| over every entry of `moved` (contiguous), which `value` reads.
inline double difference_from(const torch::Tensor& gradient, const torch::Tensor& moved,
                              const std::function<torch::Tensor()>& value) {
  double worst = 0;
  const torch::Tensor entries = gradient.reshape(-1);
  for (std::int64_t entry = 0; entry < moved.numel(); ++entry) {
    worst =
        std::max(worst, std::abs(central_difference(moved, entry, value) - entries[entry].item<double>()));
  }
  return worst;
}

/// Largest |gradient of `function` - central difference| over every entry of `at`, over max(1, largest
/// |gradient|). `function` gives a scalar and is smooth near `at`.
inline double gradient_error(const torch::Tensor& at, const ScalarOf& function) {
  const torch::Tensor leaf = at.detach().clone().requires_grad_();
  const torch::Tensor gradient = torch::autograd::grad({function(leaf)}, {leaf}).front();
  const torch::Tensor moved = at.detach().clone();
  const double worst = difference_from(gradient, moved, [&] { return function(moved); });
  return worst / std::max(1.0, gradient.abs().max().item<double>());
}

/// The gradient of `function` at `at` equals its central differences, and is not all zero.
inline void expect_gradient(const torch::Tensor& at, const ScalarOf& function, const std::string& name = "") {
  const torch::Tensor leaf = at.detach().clone().requires_grad_();
  EXPECT_GT(torch::autograd::grad({function(leaf)}, {leaf}).front().abs().max().item<double>(), 0) << name;
  EXPECT_LE(gradient_error(at, function), 1e-7) << "gradient " << name;
}

/// The same for every parameter of a module; `loss` evaluates with the parameters as they are. A parameter
/// without gradient must make no difference.
inline void expect_parameter_gradients(torch::nn::Module& module, const std::function<torch::Tensor()>& loss,
                                       const std::string& name) {
  module.zero_grad();
  loss().backward();
  for (const auto& parameter : module.named_parameters()) {
    const torch::Tensor weight = parameter.value().detach();
    const torch::Tensor gradient =
        parameter.value().grad().defined() ? parameter.value().grad().clone() : torch::zeros_like(weight);
    const double scale = std::max(1.0, gradient.abs().max().item<double>());
    EXPECT_LE(difference_from(gradient, weight, loss) / scale, 1e-7) << name << " for " << parameter.key();
  }
}

/// The same for two entries of each parameter, the largest gradient's, which says most, and the first:
/// `step` runs a training step with learning rate 0 and returns a scalar, whose gradients the parameters then
/// have.
inline void expect_step_gradients(const torch::nn::Module& module,
                                  const std::function<torch::Tensor()>& step) {
  static_cast<void>(step());
  std::vector<std::pair<std::string, torch::Tensor>> gradients;
  double scale = 0;
  for (const auto& parameter : module.named_parameters()) {
    EXPECT_TRUE(parameter.value().grad().defined()) << parameter.key();
    if (!parameter.value().grad().defined()) continue;
    gradients.emplace_back(parameter.key(), parameter.value().grad().detach().clone().reshape(-1));
    scale = std::max(scale, gradients.back().second.abs().max().item<double>());
  }
  EXPECT_GT(scale, 0);
  const auto parameters = module.named_parameters();
  for (const auto& [name, gradient] : gradients) {
    for (const std::int64_t entry : {gradient.abs().argmax().item<std::int64_t>(), std::int64_t{0}}) {
      const double difference = central_difference(parameters[name].detach(), entry, step);
      EXPECT_NEAR(gradient[entry].item<double>(), difference, 1e-6 * std::max(1.0, scale))
          << name << " " << entry;
    }
  }
}

}  // namespace gauntlet::testing
