// From rows of the database to a table: grouping, mean and standard deviation over seeds, best and second,
// what is missing. Thread safety: functions use the caller's connection and nothing else; the results are
// plain values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/db/connection.hpp"
#include "results/table/table_spec.hpp"

namespace gauntlet::results {

enum class EntryState : std::uint8_t {
  kBlank,    ///< no cell of the sweep belongs here
  kValue,    ///< every seed is there
  kPartial,  ///< some seeds are missing
  kMissing,  ///< all seeds are missing
};
enum class Mark : std::uint8_t { kNone, kBest, kSecond };

/// What one seed gave.
struct SeedValue {
  std::uint64_t seed = 0;
  double value = 0;
  std::int64_t job_id = 0;  ///< the job that measured it
};

/// Of a mean; in the metric's own unit.
struct Interval {
  double low = 0;
  double high = 0;
};

/// One place of the table.
struct TableEntry {
  EntryState state = EntryState::kBlank;
  double mean = 0;            ///< in the metric's own unit, not scaled
  double std = 0;             ///< sample standard deviation (ddof 1); 0 when n is 1
  std::int64_t n = 0;         ///< seeds averaged
  std::int64_t expected = 0;  ///< seeds the sweep has here
  Mark mark = Mark::kNone;
  bool higher_is_better = true;
  std::string metric;
  spec::Cell cell;                   ///< what its readings share; the seed means nothing
  std::vector<SeedValue> seeds;      ///< by seed
  std::optional<Interval> interval;  ///< of the mean, where the spec asks for it
  std::optional<double> p_value;     ///< against the baseline
  std::optional<double> p_holm;      ///< the same after Holm's correction over the column
  bool significant = false;          ///< p_holm is below the spec's level
  std::optional<double> paper;       ///< what is printed in the paper, in the metric's own unit
  std::string text;                  ///< in place of a number (tables of properties)
};

/// A row or a column: values by axis, labels by level.
struct Heading {
  std::map<std::string, std::string> values;
  std::vector<std::string> labels;
  bool reference = false;
};

/// "quickstart: picto_scenes cpah 32 bits, defense drfgd, attack PGD (static), i2t, seed 2"
[[nodiscard]] std::string cell_text(const std::string& sweep, const spec::Cell& cell);

/// A number a cell should have and has not.
struct MissingNumber {
  std::string sweep;
  spec::Cell cell;
  std::string metric;
  /// "picto_scenes cpah 32 bits defense drfgd attack PGD i2t seed 2: map"
  [[nodiscard]] std::string text() const;
};

/// Where the numbers come from; no dates, so that the same values give the same bytes.
struct Provenance {
  std::string values_sha256;  ///< over axes, metric, value, n of every selected number, sorted
  std::int64_t n_values = 0;
  std::int64_t n_jobs = 0;
  std::vector<std::string> revisions;
  std::vector<std::string> versions;  ///< "torch 2.15.0"
  std::vector<std::string> devices;
};

/// Columns beside the measured ones, with numbers printed elsewhere.
struct PaperColumns {
  bool value = false;       ///< the printed number
  bool difference = false;  ///< measured minus printed
  std::string label;        ///< "paper"
  std::string source;       ///< name of the reference file
};

struct Table {
  std::string title;
  std::string note;
  std::vector<std::string> row_titles;     ///< one per row level
  std::vector<std::string> column_titles;  ///< one per column level
  std::vector<Heading> rows;
  std::vector<Heading> columns;
  std::vector<std::vector<TableEntry>> entries;  ///< [row][column]
  std::vector<std::string> metrics;
  std::vector<std::string> units;  ///< of the metrics shown, distinct
  Scale scale = Scale::kRatio;
  int decimals = 3;
  BestOf best = BestOf::kColumn;
  PaperColumns paper;
  std::vector<std::string> method;  ///< sentences: how intervals and marks of significance were made
  std::vector<MissingNumber> missing;
  Provenance provenance;
};

/// Fills a table. Errors: kNotFound (no cell matches the filter), kInvalid (two cells fall into one place,
/// two protocols in one column, several units or versions of an entry: each named with what to add to the
/// spec). Missing numbers are no error: they are listed in the table.
[[nodiscard]] Result<Table> make_table(db::Connection& connection, const TableSpec& spec);
/// The same from a database file, opened for reading.
[[nodiscard]] Result<Table> make_table(const std::filesystem::path& database, const TableSpec& spec);

}  // namespace gauntlet::results
