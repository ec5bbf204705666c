// Inputs that an attack's descriptor hands in instead of a command that makes them.
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <vector>

#include "core/spec/external.hpp"
#include "worker/external/inputs.hpp"

namespace gauntlet::external {

struct GivenInputs {
  std::vector<float> values;  ///< of the shape of the clean inputs, which fill in for what was not given
  std::int64_t n_given = 0;
};

/// Reads the files of `entry` and checks every input as if a command had left it. `clean` are all queries.
/// Errors: those of reading; kInvalid for a shape or type that does not fit, an item that is no query or is
/// there twice, and what check_legal refuses.
[[nodiscard]] Result<GivenInputs> read_given(const spec::ExternalEntry& entry, const Given& clean);

}  // namespace gauntlet::external
