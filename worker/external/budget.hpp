// Whether changed inputs are legal: finite, in range, inside the budget of the attack that made them.
// Thread safety: pure functions.
#pragma once

#include <span>
#include <string_view>

#include "core/spec/external.hpp"
#include "worker/external/inputs.hpp"

namespace gauntlet::external {

/// `values` has the shape of `clean`. Errors (kInvalid): the first illegal item, by its number in the
/// dataset, what is wrong with it and what is allowed, and how many others there are; `what` begins the
/// sentence. Distances may exceed the budget by what rounding to float32 adds.
[[nodiscard]] Status check_legal(std::span<const float> values, const Given& clean,
                                 const spec::ExternalEntry& entry, const Json& options,
                                 std::string_view what);

}  // namespace gauntlet::external
