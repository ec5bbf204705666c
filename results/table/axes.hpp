// Axes of cells as texts, and the order in which a table shows their values.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "results/store/selection.hpp"
#include "results/table/table_spec.hpp"

namespace gauntlet::results {

/// What a cell has on an axis ("metric" gives `metric`), as text.
[[nodiscard]] std::string value_of(const CellRow& row, const std::string& metric, std::string_view axis);

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
