// Numbers that are the same everywhere, and losses' gradients against central differences.
#pragma once

#include <gmock/gmock.h>
#include <torch/torch.h>

#include <algorithm>
#include <functional>
#include <string>

#include "tests/support/parity.hpp"

namespace gauntlet::testing {

/// Irregular numbers in (-1, 1), double.
inline torch::Tensor waves(torch::IntArrayRef shape, double frequency) {
  std::int64_t n_values = 1;
  for (const std::int64_t size : shape) n_values *= size;
  return torch::sin(torch::arange(1, n_values + 1, torch::kFloat64) * frequency).view(shape);
}

inline constexpr double kGradientTolerance = 1e-7;

/// Slopes of `value` at `x`, entry by entry.
inline torch::Tensor central_differences(const std::function<double(const torch::Tensor&)>& value,
                                         const torch::Tensor& x) {
  constexpr double kStep = 1e-5;
  torch::Tensor slopes = torch::empty_like(x);
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    const auto moved = [&](double by) {
      torch::Tensor point = x.clone();
      point.view(-1)[i] += by;
      return value(point);
    };
    slopes.view(-1)[i] = (moved(kStep) - moved(-kStep)) / (2 * kStep);
  }
  return slopes;
}

/// The gradient of the scalar `function` at `x` (double), from its own graph, against central differences.
inline void expect_gradient(const std::function<torch::Tensor(const torch::Tensor&)>& function,
                            const torch::Tensor& x, const std::string& name) {
  const torch::Tensor leaf = x.clone().requires_grad_();
  const torch::Tensor gradient = torch::autograd::grad({function(leaf)}, {leaf}).front();
  EXPECT_GT(gradient.abs().max().item<double>(), 0) << name;
  const auto value = [&](const torch::Tensor& point) { return function(point).item<double>(); };
  expect_near(gradient, central_differences(value, x), kGradientTolerance, "gradient of " + name);
}

/// The same for every parameter of a module (double); `loss` evaluates with the parameters as they are. A
/// parameter without gradient must make no difference.
inline void expect_parameter_gradients(torch::nn::Module& module, const std::function<torch::Tensor()>& loss,
                                       const std::string& name) {
  module.zero_grad();
  loss().backward();
  for (const auto& parameter : module.named_parameters()) {
    torch::Tensor weight = parameter.value();
    const torch::Tensor kept = weight.detach().clone();
    const torch::Tensor gradient = weight.grad().defined() ? weight.grad().clone() : torch::zeros_like(kept);
    const auto value = [&](const torch::Tensor& point) {
      weight.data().copy_(point);
      return loss().item<double>();
    };
    expect_near(gradient, central_differences(value, kept), kGradientTolerance,
                "gradient of " + name + " for " + parameter.key());
    weight.data().copy_(kept);
  }
}

}  // namespace gauntlet::testing
