// Numbers out of the database, for tables: the cells a filter names, and the rows of their jobs.
// Thread safety: functions use the caller's connection and nothing else.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/db/connection.hpp"
#include "core/spec/cell.hpp"

namespace gauntlet::results {

/// Column of a cell → allowed values as text; an absent column allows everything. Columns: sweep and the axes
/// of a cell.
using CellFilter = std::map<std::string, std::vector<std::string>>;

struct CellRow {
  std::int64_t cell_id = 0;
  std::string sweep;
  spec::Cell cell;
  std::shared_ptr<const std::set<std::string>> metrics;  ///< the numbers it must have; null: none

  [[nodiscard]] bool expects(const std::string& metric) const { return metrics && metrics->contains(metric); }
};

/// One number of one cell. Its texts, of which thousands of numbers share a few, lie in the selection.
struct ValueRow {
  std::int64_t cell_id = 0;
  std::string_view metric;
  std::optional<double> value;  ///< nothing: measured, but not a number
  std::int64_t n = 0;
  std::string_view unit;
  bool higher_is_better = true;
  std::int64_t job_id = 0;
  std::string_view revision;  ///< of the code that measured it
  std::string_view versions;  ///< of its libraries, as JSON
  std::string_view device;
};

/// An entry's version as some job of the selected cells used it.
struct EntryVersion {
  std::string kind;   ///< of the job
  std::string entry;  ///< "" where the kind has none
  std::int64_t version = 0;
};

struct CellSelection {
  std::vector<CellRow> cells;                          ///< by cell_id
  std::vector<ValueRow> values;                        ///< by cell_id, metric
  std::vector<EntryVersion> versions;                  ///< distinct, sorted
  std::shared_ptr<const std::set<std::string>> texts;  ///< those of the values
};

/// Reads everything in one snapshot. Errors (kInvalid): an unknown column, a value of bits or seed that is no
/// integer.
[[nodiscard]] Result<CellSelection> select_cells(db::Connection& connection, const CellFilter& filter,
                                                 const std::vector<std::string>& metrics);

/// Names of all sweeps, sorted.
[[nodiscard]] Result<std::vector<std::string>> sweep_names(db::Connection& connection);

/// Ids of the cells that a condition on their axes names (see parse_where). Errors: kInvalid (the condition).
[[nodiscard]] Result<std::set<std::int64_t>> cells_where(db::Connection& connection,
                                                         std::string_view condition);

}  // namespace gauntlet::results
