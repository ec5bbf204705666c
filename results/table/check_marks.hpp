// A dagger at defenses whose robustness checks fail.
#pragma once

#include "core/base/result.hpp"
#include "core/db/connection.hpp"
#include "results/table/pivot.hpp"

namespace gauntlet::results {

/// Marks the rows and columns of a defense of which a check is stored as failed for some entry shown there
/// (same dataset, model, code length, direction, variant and seed), and says below the table which. Does
/// nothing where headings do not tell defenses apart.
[[nodiscard]] Status add_check_marks(db::Connection& connection, const TableSpec& spec, Table& table);

}  // namespace gauntlet::results
