// What must not share a place or a column of a table. Every refusal names two cells that disagree.
// Thread safety: pure functions.
#pragma once

#include <vector>

#include "core/base/result.hpp"
#include "results/table/reading.hpp"

namespace gauntlet::results {

/// Errors (kInvalid): two versions of one entry among the selected cells, each with a cell that uses it.
[[nodiscard]] Status check_versions(db::Connection& connection, const CellSelection& selection);

/// Within one place everything but the seed must be the same, and no seed may come twice. Errors: kInvalid.
[[nodiscard]] Status check_group(const std::vector<Reading>& readings);

/// A column is read from top to bottom: one metric, one protocol and one unit, unless the heading of its rows
/// or its own tells them apart. Errors: kInvalid.
[[nodiscard]] Status check_columns(const TableSpec& spec, const ReadingGroups& groups);

}  // namespace gauntlet::results
