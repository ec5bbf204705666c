// A table as a YAML file: which cells, what goes on rows and columns, which number, how it is shown. The
// keys: docs/tables.md, schemas/table.schema.json. Thread safety: pure functions; specs are plain values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "results/store/selection.hpp"

namespace gauntlet::results {

/// One level of a heading: the axes whose values it joins.
using Level = std::vector<std::string>;

enum class Scale : std::uint8_t { kRatio, kPercent };
/// What is compared for the marks: a whole column, the rows that share all levels but the last, nothing.
enum class BestOf : std::uint8_t { kColumn, kBlock, kOff };

/// An extra row or column of a number that must not depend on what the other rows or columns vary (chance
/// level).
struct Reference {
  std::string metric;
  std::string label;
  bool as_row = true;
};

/// Entries are tested against the entry that has these values in place of its own.
struct Significance {
  std::map<std::string, std::string> against;  ///< axis → value
  double level = 0.05;                         ///< in (0, 1); the field's habit
  std::int64_t permutations = 10000;           ///< p-values down to 1e-4; 25 ms of CPU for 6,000 pairs
};

/// Confidence intervals of means, in place of standard deviations.
struct IntervalSpec {
  double level = 0.95;          ///< in (0, 1)
  std::int64_t samples = 2000;  ///< enough for two digits of a 95 % interval
};

/// Numbers printed elsewhere, beside ours.
struct PaperSpec {
  std::filesystem::path file;                             ///< CSV; in a spec file, relative to that file
  std::map<std::string, std::vector<std::string>> where;  ///< column of the file → allowed values
  std::map<std::string, std::string> metric;              ///< our metric → what the file calls it
  bool value = true;
  bool difference = true;
  std::string label = "paper";
};

enum class PropertyKind : std::uint8_t { kType, kHoldsUnderAttack, kHoldsOnBenign, kWorksAcrossModels };
/// A column of a table of properties of defenses.
struct Property {
  PropertyKind kind = PropertyKind::kType;
  std::string label;
  double at_least = 0.9;  ///< share of the undefended model's number on clean queries
};

struct TableSpec {
  std::string title;
  CellFilter filter;
  std::vector<std::string> metrics;
  std::vector<Level> rows;
  std::vector<Level> columns;
  Scale scale = Scale::kRatio;
  int decimals = 3;  ///< 0 to 9
  BestOf best = BestOf::kColumn;
  std::map<std::string, std::map<std::string, std::string>> labels;
  std::map<std::string, std::string> titles;
  std::map<std::string, std::vector<std::string>> order;
  std::vector<Reference> references;
  bool collapse = false;  ///< row levels with one label in all rows go into the title
  std::string note;
  std::optional<Significance> significance;
  std::optional<IntervalSpec> interval;
  std::optional<PaperSpec> paper;
  std::vector<Property> properties;  ///< not empty: a table of properties, without columns

  /// Whether the axis ("metric" too) is on rows or columns.
  [[nodiscard]] bool shows(std::string_view axis) const;
};

/// Axes a table knows, "metric" and "sweep" included.
[[nodiscard]] const std::vector<std::string>& table_axes();

/// Reads and checks a file. Errors: kNotFound, kIo; kInvalid with every problem on a line of its own, each
/// with file:line:column, the value seen and what is allowed.
[[nodiscard]] Result<TableSpec> read_table_spec(const std::filesystem::path& path);
/// The same for text; `source` stands for the file in messages.
[[nodiscard]] Result<TableSpec> parse_table_spec(std::string_view text, std::string_view source);

}  // namespace gauntlet::results
