// Where the numbers of a table come from.
#pragma once

#include <vector>

#include "results/store/selection.hpp"
#include "results/table/pivot.hpp"

namespace gauntlet::results {

/// Of the values in use, each counted once: their hash in an order of their own, the code and libraries that
/// measured them.
[[nodiscard]] Provenance provenance_of(const CellSelection& selection, std::vector<const ValueRow*> used);

}  // namespace gauntlet::results
