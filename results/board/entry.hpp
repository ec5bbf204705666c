// What a leaderboard says of a defense beside its numbers.
// Thread safety: pure functions.
#pragma once

#include <string>

#include "core/base/json.hpp"

namespace gauntlet::results {

/// "defense" {name, version, config}, which makes the entry's key, "title" where the label is not the name,
/// and of built-in defenses "declaration" (stages), "training", "cost" and "type", a to f by what the stages
/// declare. `encode` is the canonical form of the job that passes queries through the defense; what `about`
/// (of parse_about) has under the label goes before.
[[nodiscard]] Json entry_of(const Json& encode, const std::string& label, const Json& about);

}  // namespace gauntlet::results
