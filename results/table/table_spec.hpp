// A table as a YAML file: which cells, what goes on rows and columns, which number, how it is shown.
//
//   gauntlet_table: 1
//   title: "Defenses against PGD"
//   filter: {sweep: quickstart, dataset: picto_scenes}   # column: value or list of values
//   metric: map                                          # or a list; then `metric` must be on rows or
//   columns rows: [[attack, protocol], [defense, variant]]       # levels of the heading; a level may join
//   several axes columns: [direction] scale: percent                                       # of ratios:
//   percent or ratio decimals: 1 best: block                                          # column, block (rows
//   that share all but the last level), off labels: {direction: {i2t: "Image → text"}}           # what a
//   value is called titles: {attack: Attack}                             # what an axis is called order:
//   {defense: [none, drfgd]}                      # values that come first, in this order references:
//   [{metric: chance_map, label: chance, as: row}] note: "One sentence under the table."
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
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
