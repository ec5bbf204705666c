// Recorded cases as the tests of target models and attacks use them.
#pragma once

#include "core/train/checkpoint.hpp"
#include "tests/support/parity.hpp"

namespace gauntlet::testing {

/// Copies every param.<name> of the case that the module has; returns how many.
inline int load_params(const Fixture& fixture, torch::nn::Module& module) {
  const torch::NoGradGuard no_grad;
  int n_loaded = 0;
  for (auto& [name, tensor] : state_of(module)) {
    if (!fixture.has("param." + name)) continue;
    EXPECT_EQ(tensor.sizes(), fixture.get("param." + name).sizes()) << name;
    torch::Tensor(tensor).copy_(fixture.get("param." + name));
    ++n_loaded;
  }
  return n_loaded;
}

}  // namespace gauntlet::testing
