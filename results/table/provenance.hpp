// Where the numbers of a table come from.
#pragma once

#include <set>

#include "results/store/selection.hpp"
#include "results/table/pivot.hpp"

namespace gauntlet::results {

/// Of the values in use: their hash in an order of their own, the code and libraries that measured them.
[[nodiscard]] Provenance provenance_of(const CellSelection& selection, const std::set<const ValueRow*>& used);

}  // namespace gauntlet::results
