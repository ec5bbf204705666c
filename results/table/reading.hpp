// What a table is made of before it is one: numbers by row and column.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "results/store/selection.hpp"
#include "results/table/axes.hpp"

namespace gauntlet::results {

/// One number that belongs, or should belong, to a place of the table.
struct Reading {
  const CellRow* cell = nullptr;
  const ValueRow* value = nullptr;  ///< null: missing
  std::string metric;
};

/// (row, column) → its readings.
using ReadingGroups = std::map<std::pair<AxisKey, AxisKey>, std::vector<Reading>>;

}  // namespace gauntlet::results
