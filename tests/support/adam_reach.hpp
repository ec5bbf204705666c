// What single precision cannot know of a network after some steps of Adam.
#pragma once

#include <algorithm>
#include <array>
#include <string>

#include "tests/support/parity.hpp"

namespace gauntlet::testing {

/// What a float run may differ by beyond its tolerance in the tensor `name` recorded after some steps; 0 in
/// double, where states are compared to 1e-7. Adam makes whole steps out of gradients that are nothing but
/// rounding, this way here and that way there: 2 `reach` apart for an entry of a parameter, where `reach` is
/// learning rate times steps. A bias in front of a norm has no other gradient (such biases are listed under
/// fp32_skip_after); the batch norm behind it takes its shift out again but keeps it in its running mean:
/// <block>.bn<i>.running_mean behind <block>.conv<i>.bias.
inline double rounding_reach(const Fixture& fixture, const std::string& name, double reach) {
  if (fixture.is_double()) return 0;
  const std::string mean = ".running_mean";
  const auto norm = name.rfind(".bn");
  if (norm != std::string::npos && name.ends_with(mean)) {
    const std::string number = name.substr(norm + 3, name.size() - norm - 3 - mean.size());
    return fixture.lists("fp32_skip_after", name.substr(0, norm) + ".conv" + number + ".bias") ? reach : 0;
  }
  const std::array<std::string, 3> buffers = {".running_var", ".u", ".v"};
  const bool is_buffer = std::ranges::any_of(buffers, [&](const auto& end) { return name.ends_with(end); });
  return is_buffer ? 0 : 2 * reach;
}

}  // namespace gauntlet::testing
