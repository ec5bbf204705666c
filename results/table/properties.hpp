// Tables of properties of defenses: what the catalog says of them, and whether their numbers reach
// thresholds.
#pragma once

#include "core/base/result.hpp"
#include "core/db/connection.hpp"
#include "results/table/pivot.hpp"

namespace gauntlet::results {

/// One row per defense but 'none', one column per property. A number, mean over seeds, is held against that
/// of the undefended model on clean queries of the same dataset, model, bits and direction; a property holds
/// where every setting reaches its threshold. Numbers that are not there are listed as missing and their
/// entry is kMissing. Errors: kNotFound (no cell matches), kInvalid (no undefended clean numbers to compare
/// with, two versions of an entry).
[[nodiscard]] Result<Table> make_properties(db::Connection& connection, const TableSpec& spec);

}  // namespace gauntlet::results
