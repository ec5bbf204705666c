// Axes of cells as texts, and the order in which a table shows their values.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "results/store/selection.hpp"
#include "results/table/table_spec.hpp"

namespace gauntlet::results {

/// What a cell has on an axis ("metric" gives `metric`), as text.
[[nodiscard]] std::string value_of(const CellRow& row, std::string_view metric, std::string_view axis);

/// An axis whose name was looked up.
struct Axis {
  enum class Kind : std::uint8_t { kText, kBits, kSeed, kSweep, kMetric };
  Kind kind = Kind::kMetric;
  std::string spec::Cell::*text = nullptr;  ///< for kText
};

/// Axes whose names were looked up, for many cells.
class AxisReader {
 public:
  explicit AxisReader(const std::vector<std::string>& axes);

  /// Appends their values, so that two cells append the same where all their values are the same.
  void append_to(std::string& text, const CellRow& row, std::string_view metric) const;

 private:
  std::vector<Axis> axes_;
};

/// Whether two cells are the same but for the seed.
[[nodiscard]] bool is_same_but_for_seed(const CellRow& a, const CellRow& b);

/// The axes of all levels in one list.
[[nodiscard]] std::vector<std::string> axes_of(const std::vector<Level>& levels);

/// Values of the axes of a row or column, in the order of axes_of.
using AxisKey = std::vector<std::string>;

/// Sorted by axis, then by value: those the spec's `order` names first, then "" and "none", bits by size, the
/// rest by bytes.
[[nodiscard]] std::vector<AxisKey> in_order(const std::set<AxisKey>& keys,
                                            const std::vector<std::string>& axes, const TableSpec& spec);

/// What an entry of a heading is called: the spec's label; a variant without the name of its ablation; the
/// value.
[[nodiscard]] std::string label_of(const TableSpec& spec, const std::string& axis, const std::string& value);

/// What a level of the heading is called: the titles of its axes, empty ones left out.
[[nodiscard]] std::string title_of(const TableSpec& spec, const Level& level);

}  // namespace gauntlet::results
