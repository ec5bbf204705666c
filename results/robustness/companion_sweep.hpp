// The sweep that a robustness evaluation needs beside another one: the same cells, and for its gradient
// attacks what the checks want to see. An ordinary sweep file. Thread safety: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "core/spec/catalog.hpp"
#include "core/spec/expand.hpp"
#include "core/spec/sweep_spec.hpp"

namespace gauntlet::results {

/// "<sweep>-robustness"
[[nodiscard]] std::string companion_name(std::string_view sweep);

/// The text of the companion of a sweep that was read and expanded. Every first value of a gradient attack,
/// and the gradient members of an ensemble, are followed statically and through every defense; each check
/// adds what it compares the first of an entry with. `none` and the trivial controls are added to the
/// defenses. `quick`: searches take few queries. Errors (kInvalid): no gradient attack to start from, attacks
/// zipped with another axis.
[[nodiscard]] Result<std::string> companion_sweep(std::string_view text, const spec::SweepSpec& spec,
                                                  const spec::Expansion& expansion,
                                                  const spec::Catalog& catalog, bool quick);

}  // namespace gauntlet::results
