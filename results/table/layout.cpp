// What the formats for people share: which columns are shown, and what of the headings is merged.
#include <fmt/format.h>

#include <algorithm>

#include "results/table/render_parts.hpp"

namespace gauntlet::results {
namespace {

bool has_printed(const Table& table, std::size_t column) {
  return std::any_of(table.entries.begin(), table.entries.end(),
                     [&](const auto& line) { return line[column].paper.has_value(); });
}

std::string label_of(const Table& table, Part part) {
  switch (part) {
    case Part::kValue:
      return "";
    case Part::kPaper:
      return table.paper.label;
    case Part::kDifference:
      return "Δ";
  }
  return "";
}

}  // namespace

std::vector<ShownColumn> shown_columns(const Table& table) {
  std::vector<ShownColumn> shown;
  for (std::size_t column = 0; column < table.columns.size(); ++column) {
    shown.push_back({column, Part::kValue});
    if (!has_printed(table, column)) continue;
    if (table.paper.value) shown.push_back({column, Part::kPaper});
    if (table.paper.difference) shown.push_back({column, Part::kDifference});
  }
  return shown;
}

std::vector<std::vector<std::string>> column_labels(const Table& table,
                                                    const std::vector<ShownColumn>& columns) {
  const std::size_t n_levels = table.column_titles.size();
  const bool parts = columns.size() > table.columns.size();
  std::vector<std::vector<std::string>> labels(n_levels + (parts ? 1 : 0));
  for (std::size_t level = 0; level < n_levels; ++level) {
    for (const ShownColumn& shown : columns)
      labels[level].push_back(table.columns[shown.column].labels[level]);
  }
  if (parts) {
    for (const ShownColumn& shown : columns) labels[n_levels].push_back(label_of(table, shown.part));
  }
  return labels;
}

std::vector<std::vector<std::size_t>> row_spans(const Table& table, const std::vector<std::size_t>& rows) {
  const std::size_t n_levels = table.row_titles.size();
  std::vector<std::vector<std::size_t>> spans(rows.size(), std::vector<std::size_t>(n_levels, 1));
  for (std::size_t at = 1; at < rows.size(); ++at) {
    const Heading& row = table.rows[rows[at]];
    const Heading& above = table.rows[rows[at - 1]];
    if (row.reference || above.reference) continue;
    for (std::size_t level = 0; level + 1 < n_levels && row.labels[level] == above.labels[level]; ++level) {
      spans[at][level] = 0;
      std::size_t first = at;
      while (spans[first][level] == 0) --first;
      ++spans[first][level];
    }
  }
  return spans;
}

std::vector<std::vector<std::size_t>> column_spans(const std::vector<std::vector<std::string>>& labels) {
  std::vector<std::vector<std::size_t>> spans;
  for (const auto& line : labels) spans.emplace_back(line.size(), 1);
  for (std::size_t column = 1; !labels.empty() && column < labels.front().size(); ++column) {
    for (std::size_t level = 0;
         level + 1 < labels.size() && labels[level][column] == labels[level][column - 1]; ++level) {
      spans[level][column] = 0;
      std::size_t first = column;
      while (spans[level][first] == 0) --first;
      ++spans[level][first];
    }
  }
  return spans;
}

bool starts_block(const Table& table, std::size_t row, const Heading* above) {
  if (above == nullptr) return false;
  if (above->reference != table.rows[row].reference) return true;
  return table.rows[row].labels.size() > 1 && table.rows[row].labels.front() != above->labels.front();
}

}  // namespace gauntlet::results
