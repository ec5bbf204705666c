// The level of an order that means nothing, as far as it was measured.
#pragma once

#include <vector>

#include "core/robustness/study.hpp"

namespace gauntlet::robustness {

/// [n] per query, so that differences from it are paired: average precision of a random order, else the
/// relevant fraction (`chance_map`); where only the mean of that is known, the mean for every query. Empty
/// without.
[[nodiscard]] std::vector<double> chance_of(const Evidence& own, std::size_t n);

}  // namespace gauntlet::robustness
