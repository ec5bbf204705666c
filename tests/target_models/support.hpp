// What the tests of single target models share: recorded cases in both precisions, finite differences.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/collective/communicator.hpp"
#include "tests/methods_a/fixture.hpp"

namespace gauntlet::testing {

struct Precision {
  torch::Dtype dtype;
  double tolerance;  ///< of outputs
  const char* name;
};
inline const Precision kPrecisions[] = {{torch::kFloat64, 1e-8, "Double"}, {torch::kFloat32, 1e-5, "Float"}};

/// A test of recorded cases that runs in double and in single precision.
class ParityTest : public ::testing::TestWithParam<Precision> {
 protected:
  [[nodiscard]] static Fixture open(const std::string& name) {
    return Fixture("targets/" + name, GetParam().dtype);
  }
  [[nodiscard]] static bool is_double() { return GetParam().dtype == torch::kFloat64; }
  [[nodiscard]] static double tolerance() { return GetParam().tolerance; }
};

/// The widths of recorded linear layers, from the input of the first to the output of the last.
inline std::int64_t outputs_of(const Fixture& fixture, const std::string& layer) {
  return fixture.get("param." + layer + ".weight").size(0);
}
inline std::int64_t inputs_of(const Fixture& fixture, const std::string& layer) {
  return fixture.get("param." + layer + ".weight").size(1);
}

inline void expect_terms(const Fixture& fixture, const std::string& prefix,
                         const std::vector<std::pair<std::string, torch::Tensor>>& terms, double tolerance) {
  for (const auto& [name, value] : terms) {
    expect_near(value, fixture.reference(prefix + name), tolerance, prefix + name);
  }
}

/// Every parameter's gradient against grad.<name>. Those listed in zero_grad_params are rounding in single
/// precision.
inline void expect_gradients(const Fixture& fixture, const torch::nn::Module& module, double tolerance) {
  for (const auto& parameter : module.named_parameters()) {
    const std::string& name = parameter.key();
    if (!fixture.is_double() && fixture.lists("zero_grad_params", name)) continue;
    ASSERT_TRUE(parameter.value().grad().defined()) << name;
    expect_near(parameter.value().grad(), fixture.reference("grad." + name), tolerance, "grad." + name, 0.01);
  }
}

/// States of several modules against after.<snapshot> (sum and sum of absolute values) and
/// after_full.<snapshot>.
inline void expect_snapshot(const Fixture& fixture, int snapshot,
                            const std::vector<const torch::nn::Module*>& modules, double tolerance) {
  models::NamedTensors state;
  for (const torch::nn::Module* module : modules) state.merge(state_of(*module));
  // Biases before a normalisation get pure rounding as gradient in single precision, Adam makes steps of it,
  // and the running means follow.
  const auto is_noise = [&](const std::string& name) {
    return !fixture.is_double() && (fixture.lists("zero_grad_params", name) ||
                                    (fixture.has_text("zero_grad_params") && name.ends_with("running_mean")));
  };
  const std::string after = fmt::format("after.{}.", snapshot);
  for (const std::string& name : fixture.names(after)) {
    if (is_noise(name)) continue;
    const torch::Tensor& value = state.at(name);
    expect_near(torch::stack({value.sum(), value.abs().sum()}), fixture.reference(after + name), tolerance,
                after + name);
  }
  const std::string full = fmt::format("after_full.{}.", snapshot);
  for (const std::string& name : fixture.names(full)) {
    expect_near(state.at(name), fixture.reference(full + name), is_noise(name) ? 1e-2 : tolerance,
                full + name);
  }
}

/// The gradient of a scalar function against central differences; x in double.
inline void expect_true_gradient(const std::function<torch::Tensor(const torch::Tensor&)>& function,
                                 const torch::Tensor& at, const std::string& name) {
  constexpr double kStep = 1e-6;
  const torch::Tensor x = at.to(torch::kFloat64).clone().requires_grad_();
  const torch::Tensor gradient = torch::autograd::grad({function(x)}, {x}).front().reshape(-1);
  EXPECT_GT(gradient.abs().max().item<double>(), 0) << name;
  const torch::NoGradGuard no_grad;
  for (std::int64_t i = 0; i < gradient.numel(); ++i) {
    const auto moved = [&](double by) {
      torch::Tensor there = x.detach().clone();
      there.view(-1)[i] += by;
      return function(there).item<double>();
    };
    const double slope = (moved(kStep) - moved(-kStep)) / (2 * kStep);
    EXPECT_NEAR(gradient[i].item<double>(), slope, 1e-5 * std::max(1.0, std::abs(slope))) << name << " " << i;
  }
}

/// n values that look random and are the same everywhere, in (-1, 1).
inline torch::Tensor waves(torch::IntArrayRef shape, double scale) {
  std::int64_t n_values = 1;
  for (const std::int64_t size : shape) n_values *= size;
  return torch::sin(torch::arange(1, n_values + 1, torch::kFloat64) * scale).view(shape);
}

}  // namespace gauntlet::testing
