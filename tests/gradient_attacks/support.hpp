// What the tests of gradient attacks share: the recorded hash net, and attacks made for a single layer.
#pragma once

#include <string>
#include <vector>

#include "core/attacks/attack.hpp"
#include "core/attacks/detail/projection.hpp"
#include "tests/support/parity.hpp"

namespace gauntlet::attacks {

/// One layer: tanh(W flat(x) + b).
struct HashNet {
  torch::Tensor weight, bias;

  [[nodiscard]] static HashNet of(const testing::Fixture& fixture) {
    return {fixture.get("param.hash.fc.weight"), fixture.get("param.hash.fc.bias")};
  }
  [[nodiscard]] torch::Tensor operator()(const torch::Tensor& input) const {
    return torch::tanh(torch::linear(input.flatten(1), weight, bias));
  }
};

/// The valid range a case was recorded with; [0,1] where it says nothing.
inline Ball ball_of(const testing::Fixture& fixture) {
  const std::vector<double> range =
      fixture.has_text("range") ? fixture.numbers("range") : std::vector<double>{0, 1};
  return {fixture.number("eps"), range.at(0), range.at(1)};
}

/// n labels that only item i of n has, repeated for `per_item` items in a row each.
inline torch::Tensor own_labels(std::int64_t n, std::int64_t per_item = 1) {
  return torch::eye(n).repeat_interleave(per_item, 0);
}

inline std::vector<std::int64_t> first_rows(std::int64_t n) {
  std::vector<std::int64_t> rows;
  for (std::int64_t row = 0; row < n; ++row) rows.push_back(row);
  return rows;
}

/// Texts of [low, high] before the recorded net, without training codes.
inline AttackSurface text_surface(const HashNet& net, const Ball& range) {
  AttackSurface surface;
  surface.modality = Modality::kText;
  surface.encode = net;
  surface.input_low = range.low;
  surface.input_high = range.high;
  return surface;
}

/// The registered attack on this surface; a config it refuses is a failure.
inline std::unique_ptr<Attack> make_attack(const char* name, const Json& config, const AttackSurface& surface,
                                           std::uint64_t seed = 1) {
  auto attack = attack_registry().find(name).value()->make(config, surface, seed);
  EXPECT_TRUE(attack) << (attack ? "" : attack.error().message);
  return attack ? std::move(*attack) : nullptr;
}

}  // namespace gauntlet::attacks
