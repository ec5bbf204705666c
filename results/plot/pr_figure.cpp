#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "results/plot/figures.hpp"
#include "results/table/axes.hpp"

namespace gauntlet::results {
namespace {

struct Curve {
  std::string name;
  std::string x_label;
  std::string y_label;
  std::vector<float> x;
  std::vector<float> y;
};

std::vector<float> floats(std::span<const std::byte> bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

// The curves of a cell that `metric` asks for: of that name, or of any kind of it.
Result<std::vector<Curve>> curves_of(db::Connection& connection, std::int64_t cell_id,
                                     const std::string& metric) {
  GAUNTLET_TRY(db::Statement * statement,
               connection.cached("SELECT cu.name, cu.x_label, cu.y_label, cu.x, cu.y FROM cell_jobs cj "
                                 "JOIN curves cu ON cu.job_id = cj.job_id WHERE cj.cell_id = ? "
                                 "ORDER BY cu.name, cu.job_id"));
  GAUNTLET_CHECK_OK(statement->bind_all(cell_id));
  std::vector<Curve> curves;
  while (true) {
    GAUNTLET_TRY(const bool row, statement->step());
    if (!row) return curves;
    const std::string name(statement->text(0));
    if (name != metric && !name.starts_with(metric + ":")) continue;
    curves.push_back({name, std::string(statement->text(1)), std::string(statement->text(2)),
                      floats(statement->blob(3)), floats(statement->blob(4))});
  }
}

/// The curves of one line, one per seed, and a cell that they belong to.
struct Line {
  const CellRow* cell = nullptr;
  std::map<std::uint64_t, Curve> by_seed;
};

class PrFigure {
 public:
  PrFigure(db::Connection& connection, const TableSpec& spec, const CellSelection& selection)
      : connection_(connection), spec_(spec), selection_(selection) {
    const auto named = std::find_if(spec.metrics.begin(), spec.metrics.end(), [](const std::string& name) {
      return name == "pr" || name.starts_with("pr:");
    });
    metric_ = named == spec.metrics.end() ? "pr" : *named;
    const std::vector<Level> outer(spec.rows.begin(), spec.rows.end() - 1);
    row_axes_ = without_metric(axes_of(outer));
    column_axes_ = without_metric(axes_of(spec.columns));
    series_axes_ = without_metric(spec.rows.back());
  }

  Result<MadeFigure> make() {
    for (const CellRow& cell : selection_.cells) GAUNTLET_CHECK_OK(place(cell));
    if (lines_.empty()) {
      return fail(ErrorCode::kNotFound,
                  "no cell that the filter leaves has a curve '{}'; run the sweep with the metric pr",
                  metric_);
    }
    if (series_.size() > kMaxSeries) {
      return fail(ErrorCode::kInvalid, "a picture shows at most {} series, not {}; narrow the filter",
                  kMaxSeries, series_.size());
    }
    GAUNTLET_CHECK_OK(fill());
    return std::move(made_);
  }

 private:
  static std::vector<std::string> without_metric(std::vector<std::string> axes) {
    std::erase(axes, "metric");
    return axes;
  }

  AxisKey key_of(const CellRow& cell, const std::vector<std::string>& axes) const {
    AxisKey key;
    for (const std::string& axis : axes) key.push_back(value_of(cell, "", axis));
    return key;
  }

  Status place(const CellRow& cell) {
    GAUNTLET_TRY(std::vector<Curve> curves, curves_of(connection_, cell.cell_id, metric_));
    if (curves.empty()) {
      if (cell.expects(metric_)) made_.missing.push_back({cell.sweep, cell.cell, metric_});
      return {};
    }
    if (curves.front().name != curves.back().name) {
      return fail(ErrorCode::kInvalid, "{} has the curves {} and {}; name one of them as the spec's metric",
                  cell_text(cell.sweep, cell.cell), curves.front().name, curves.back().name);
    }
    if (name_.empty()) name_ = curves.front().name;
    if (name_ != curves.front().name) {
      return fail(ErrorCode::kInvalid,
                  "the picture would mix the curves {} and {} ({}); name one of them as the "
                  "spec's metric",
                  name_, curves.front().name, cell_text(cell.sweep, cell.cell));
    }
    const AxisKey row = key_of(cell, row_axes_);
    const AxisKey column = key_of(cell, column_axes_);
    const AxisKey series = key_of(cell, series_axes_);
    rows_.insert(row);
    columns_.insert(column);
    series_.insert(series);
    Line& line = lines_[{row, column, series}];
    if (line.cell == nullptr) line.cell = &cell;
    GAUNTLET_CHECK_OK(check_same(*line.cell, cell));
    line.by_seed.emplace(cell.cell.seed, std::move(curves.front()));
    return {};
  }

  // All but seed and sweep must agree within a line.
  static Status check_same(const CellRow& a, const CellRow& b) {
    for (const std::string& axis : table_axes()) {
      if (axis == "seed" || axis == "metric" || axis == "sweep") continue;
      if (value_of(a, "", axis) == value_of(b, "", axis)) continue;
      return fail(ErrorCode::kInvalid,
                  "two curves that differ in {} would be one line ({}; {}); put '{}' on rows or columns, or "
                  "filter by "
                  "it",
                  axis, cell_text(a.sweep, a.cell), cell_text(b.sweep, b.cell), axis);
    }
    return {};
  }

  Status fill() {
    Figure& figure = made_.figure;
    figure.title = spec_.title;
    figure.unit_axes = true;
    const Curve& any = lines_.begin()->second.by_seed.begin()->second;
    figure.x_label = any.x_label;
    figure.y_label = any.y_label;
    const std::vector<AxisKey> rows = in_order(rows_, row_axes_, spec_);
    const std::vector<AxisKey> columns = in_order(columns_, column_axes_, spec_);
    const std::vector<AxisKey> series = in_order(series_, series_axes_, spec_);
    figure.n_columns = columns.size();
    for (const AxisKey& key : series)
      figure.legend.push_back(
          legend_name(label(series_axes_, key, {}), fmt::format("{}", fmt::join(series_axes_, " "))));
    for (const AxisKey& row : rows) {
      for (const AxisKey& column : columns) {
        Panel panel;
        panel.title = label(row_axes_, row, constant(rows));
        const std::string right = label(column_axes_, column, {});
        panel.title += (panel.title.empty() || right.empty() ? "" : ", ") + right;
        for (std::size_t style = 0; style < series.size(); ++style) {
          const auto line = lines_.find({row, column, series[style]});
          if (line == lines_.end()) continue;
          GAUNTLET_TRY(Series drawn, mean_of(line->second));
          drawn.style = style;
          panel.series.push_back(std::move(drawn));
        }
        figure.panels.push_back(std::move(panel));
      }
    }
    return {};
  }

  // Axes that say the same in all keys, where there are several: no panel's title needs them.
  static std::set<std::size_t> constant(const std::vector<AxisKey>& keys) {
    std::set<std::size_t> same;
    for (std::size_t i = 0; keys.size() > 1 && i < keys.front().size(); ++i) {
      if (std::all_of(keys.begin(), keys.end(),
                      [&](const AxisKey& key) { return key[i] == keys.front()[i]; }))
        same.insert(i);
    }
    return same;
  }

  std::string label(const std::vector<std::string>& axes, const AxisKey& key,
                    const std::set<std::size_t>& left_out) const {
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < axes.size(); ++i) {
      const std::string part = label_of(spec_, axes[i], key[i]);
      if (!part.empty() && !left_out.contains(i)) parts.push_back(part);
    }
    return fmt::format("{}", fmt::join(parts, " "));
  }

  // Point by point from the end, where every curve is at the largest radius; radii below which some seed
  // retrieves nothing are left out, as in the curves themselves.
  static Result<Series> mean_of(const Line& line) {
    std::size_t n_points = line.by_seed.begin()->second.x.size();
    for (const auto& [seed, curve] : line.by_seed) {
      if (curve.x.size() != curve.y.size()) {
        return fail(ErrorCode::kCorrupt, "the curve of {} has {} x and {} y",
                    cell_text(line.cell->sweep, line.cell->cell), curve.x.size(), curve.y.size());
      }
      n_points = std::min(n_points, curve.x.size());
    }
    const auto n = static_cast<double>(line.by_seed.size());
    Series series;
    for (std::size_t left = n_points; left > 0; --left) {
      double x = 0;
      double y = 0;
      for (const auto& [seed, curve] : line.by_seed) {
        x += static_cast<double>(curve.x[curve.x.size() - left]) / n;
        y += static_cast<double>(curve.y[curve.y.size() - left]) / n;
      }
      double squares = 0;
      for (const auto& [seed, curve] : line.by_seed) {
        const double off = static_cast<double>(curve.y[curve.y.size() - left]) - y;
        squares += off * off;
      }
      series.x.push_back(x);
      series.y.push_back(y);
      if (line.by_seed.size() > 1) series.spread.push_back(std::sqrt(squares / (n - 1)));
    }
    return series;
  }

  db::Connection& connection_;
  const TableSpec& spec_;
  const CellSelection& selection_;
  std::string metric_;
  std::string name_;  ///< of the curves met so far
  std::vector<std::string> row_axes_;
  std::vector<std::string> column_axes_;
  std::vector<std::string> series_axes_;
  std::set<AxisKey> rows_;
  std::set<AxisKey> columns_;
  std::set<AxisKey> series_;
  std::map<std::tuple<AxisKey, AxisKey, AxisKey>, Line> lines_;
  MadeFigure made_;
};

}  // namespace

Result<MadeFigure> pr_figure(db::Connection& connection, const TableSpec& spec) {
  GAUNTLET_TRY(const CellSelection selection, select_cells(connection, spec.filter, {}));
  return PrFigure(connection, spec, selection).make();
}

}  // namespace gauntlet::results
