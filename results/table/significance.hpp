// Marks of significance and confidence intervals of a filled table.
#pragma once

#include "core/base/result.hpp"
#include "core/db/connection.hpp"
#include "results/table/pivot.hpp"

namespace gauntlet::results {

/// Tests every entry against the entry of the baseline that spec.significance names, over the queries of all
/// seeds both have (over seeds alone where the metric has no values per query), and corrects within each
/// column. Does nothing without spec.significance. Errors (kInvalid): no entry has a baseline; a pair with
/// one seed and no values per query; values per query that do not pair.
[[nodiscard]] Status add_significance(db::Connection& connection, const TableSpec& spec, Table& table);

/// Intervals of all entries by drawing queries (seeds, where the metric has no values per query) anew. Does
/// nothing without spec.interval. Errors (kInvalid): one seed and no values per query.
[[nodiscard]] Status add_intervals(db::Connection& connection, const TableSpec& spec, Table& table);

}  // namespace gauntlet::results
