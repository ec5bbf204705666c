// Pictures of tables: bars and heat maps.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "results/plot/figures.hpp"
#include "results/table/render.hpp"

namespace gauntlet::results {
namespace {

std::string joined(const std::vector<std::string>& labels, std::size_t n) {
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < n; ++i) {
    if (!labels[i].empty()) parts.push_back(labels[i]);
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string all_of(const Heading& heading) { return joined(heading.labels, heading.labels.size()); }

std::size_t index_in(std::vector<std::string>& names, const std::string& name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  names.push_back(name);
  return names.size() - 1;
}

bool has_number(const Table& table) {
  return std::any_of(table.entries.begin(), table.entries.end(), [](const auto& line) {
    return std::any_of(line.begin(), line.end(), [](const TableEntry& entry) { return entry.n > 0; });
  });
}

std::string value_name(const Table& table) {
  return fmt::format("{}{}", fmt::join(table.metrics, ", "), unit_text(table));
}

Status check_numbers(const Table& table) {
  if (has_number(table)) return {};
  return fail(ErrorCode::kInvalid, "the table has no number to draw");
}

void add_reference(const Table& table, const std::vector<std::size_t>& columns, Figure& figure) {
  const auto row =
      std::find_if(table.rows.begin(), table.rows.end(), [](const Heading& h) { return h.reference; });
  if (row == table.rows.end()) return;
  figure.reference_label = row->labels.front();
  for (const std::size_t column : columns) {
    const TableEntry& entry = table.entries[static_cast<std::size_t>(row - table.rows.begin())][column];
    figure.reference.push_back(entry.n > 0 ? entry.mean * display_factor(table) : std::nan(""));
  }
}

/// A little above the highest bar, whisker or level of all panels, so that bars compare across them.
double end_of_bars(const Figure& figure) {
  constexpr double kRoom = 1.05;
  double highest = 0;
  for (const Panel& panel : figure.panels) {
    for (const Series& series : panel.series) {
      for (std::size_t at = 0; at < series.y.size(); ++at)
        highest = std::max(highest, series.y[at] + series.spread[at]);
    }
  }
  for (const double level : figure.reference) highest = std::fmax(highest, level);
  return kRoom * highest;
}

}  // namespace

std::string legend_name(const std::string& label, std::string_view what) {
  return label.empty() ? fmt::format("no {}", what) : label;
}

Result<Figure> bars_figure(const Table& table) {
  GAUNTLET_CHECK_OK(check_numbers(table));
  Figure figure;
  figure.kind = FigureKind::kBars;
  figure.title = table.title;
  figure.y_label = value_name(table);
  figure.from_zero = true;
  std::vector<std::size_t> columns;
  for (std::size_t column = 0; column < table.columns.size(); ++column) {
    if (!table.columns[column].reference) columns.push_back(column);
  }
  figure.n_columns = std::min<std::size_t>(columns.size(), 2);
  const double factor = display_factor(table);
  std::vector<std::pair<std::size_t, std::size_t>> places(table.rows.size());  // group, series
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    if (table.rows[row].reference) continue;
    const std::vector<std::string>& labels = table.rows[row].labels;
    places[row] = {index_in(figure.x_names, joined(labels, labels.size() - 1)),
                   index_in(figure.legend, legend_name(labels.back(), table.row_titles.back()))};
  }
  if (figure.legend.size() > kMaxSeries) {
    return fail(ErrorCode::kInvalid, "a picture shows at most {} series, not {}; narrow the filter",
                kMaxSeries, figure.legend.size());
  }
  const double width = 0.8 / static_cast<double>(figure.legend.size());
  for (const std::size_t column : columns) {
    Panel panel{all_of(table.columns[column]), {}};
    for (std::size_t style = 0; style < figure.legend.size(); ++style) {
      Series series{style, {}, {}, {}};
      for (std::size_t row = 0; row < table.rows.size(); ++row) {
        const TableEntry& entry = table.entries[row][column];
        if (table.rows[row].reference || places[row].second != style || entry.n == 0) continue;
        const double offset = (static_cast<double>(style) + 0.5) * width - 0.4;
        series.x.push_back(static_cast<double>(places[row].first) + offset);
        series.y.push_back(entry.mean * factor);
        series.spread.push_back(entry.std * factor);
      }
      if (!series.x.empty()) panel.series.push_back(std::move(series));
    }
    figure.panels.push_back(std::move(panel));
  }
  add_reference(table, columns, figure);
  if (table.units.size() == 1) figure.y_end = end_of_bars(figure);
  return figure;
}

Result<Figure> heatmap_figure(const Table& table) {
  GAUNTLET_CHECK_OK(check_numbers(table));
  Figure figure;
  figure.kind = FigureKind::kHeatmap;
  figure.title = table.title;
  figure.y_label = value_name(table);
  figure.decimals = table.decimals;
  for (const Heading& column : table.columns) figure.x_names.push_back(all_of(column));
  for (const std::size_t row : shown_rows(table)) {
    figure.y_names.push_back(all_of(table.rows[row]));
    std::vector<double> line;
    for (const TableEntry& entry : table.entries[row])
      line.push_back(entry.n > 0 ? entry.mean * display_factor(table) : std::nan(""));
    figure.z.push_back(std::move(line));
  }
  return figure;
}

}  // namespace gauntlet::results
