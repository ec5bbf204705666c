// What a table is made of before it is one: numbers by row and column.
#pragma once

#include <compare>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "results/store/selection.hpp"
#include "results/table/axes.hpp"

namespace gauntlet::results {

/// One number that belongs, or should belong, to a place of the table.
struct Reading {
  const CellRow* cell = nullptr;
  const ValueRow* value = nullptr;  ///< null: missing
  std::string_view metric;          ///< lies in the spec or the selection
};

/// By row, then by column. A pair of references finds a place as the pair of keys does.
struct PlaceOrder {
  using is_transparent = void;
  template <class A, class B>
  bool operator()(const A& a, const B& b) const {
    const auto rows = a.first <=> b.first;
    return rows != 0 ? rows < 0 : a.second < b.second;
  }
};

/// (row, column) → its readings.
using ReadingGroups = std::map<std::pair<AxisKey, AxisKey>, std::vector<Reading>, PlaceOrder>;

}  // namespace gauntlet::results
