// What the tests of single target models share: recorded cases in both precisions.
#pragma once

#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/collective/communicator.hpp"
#include "core/models/detail/recipe.hpp"
#include "core/models/hashing_model.hpp"
#include "tests/support/gradients.hpp"
#include "tests/support/parity.hpp"

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

/// An Adam as a case writes it down: "lr 1e-3, betas 0.9 0.999, eps 1e-8, weight_decay 5e-4 (L2)".
inline models::AdamConfig recorded_adam(const Fixture& fixture, const std::string& key,
                                        const models::AdamConfig& otherwise) {
  if (!fixture.has_text(key)) return otherwise;
  return {.lr = fixture.number_after(key, "lr"),
          .beta1 = fixture.number_after(key, "betas", 0),
          .beta2 = fixture.number_after(key, "betas", 1),
          .weight_decay = fixture.number_after(key, "weight_decay")};
}

/// The batches a trace has: in.ind_1, in.ind_2, ….
inline int n_recorded_batches(const Fixture& fixture) {
  int n = 0;
  while (fixture.has(fmt::format("in.ind_{}", n + 1))) ++n;
  return n;
}

/// The recorded pairs at `rows`.
inline models::TrainingBatch batch_of(const Fixture& fixture, const torch::Tensor& rows) {
  return {fixture.get("in.image").index_select(0, rows), fixture.get("in.text").index_select(0, rows),
          fixture.get("in.labels").index_select(0, rows), rows};
}

inline void expect_terms(const Fixture& fixture, const std::string& prefix,
                         const std::vector<std::pair<std::string, torch::Tensor>>& terms, double tolerance) {
  for (const auto& [name, value] : terms) {
    expect_near(value, fixture.reference(prefix + name), tolerance, prefix + name);
  }
}

/// Every parameter's gradient against grad.<name>; one that has none recorded must have none. Those listed in
/// zero_grad_params are rounding in single precision.
inline void expect_gradients(const Fixture& fixture, const torch::nn::Module& module, double tolerance) {
  for (const auto& parameter : module.named_parameters()) {
    const std::string& name = parameter.key();
    if (!fixture.has("grad." + name)) {
      EXPECT_FALSE(parameter.value().grad().defined()) << name;
      continue;
    }
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

}  // namespace gauntlet::testing
