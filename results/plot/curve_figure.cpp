// A number over a budget, an effort or the code length, with reference levels.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <map>
#include <set>
#include <unordered_map>

#include "core/base/json.hpp"
#include "results/plot/curve_line.hpp"
#include "results/plot/figures.hpp"
#include "results/table/axes.hpp"

namespace gauntlet::results {
namespace {

constexpr double kGreyLevels = 255;

bool is_budget(std::string_view x) { return x.starts_with("epsilon_"); }

/// Where a cell lies on the x axis, and by which attack.
struct Place {
  double x = 0;
  std::string attack;  ///< the entry, or the set of an ensemble; "" on clean queries
};

template <class Seeds, class Of>
std::vector<double> numbers_of(const Seeds& seeds, Of of) {
  std::vector<double> numbers;
  for (const auto& [seed, what] : seeds) numbers.push_back(of(what));
  return numbers;
}

class CurveFigure {
 public:
  CurveFigure(db::Connection& connection, const TableSpec& spec, std::string x,
              const CellSelection& selection)
      : connection_(connection),
        spec_(spec),
        x_(std::move(x)),
        selection_(selection),
        row_axes_(axes_of(std::vector<Level>(spec.rows.begin(), spec.rows.end() - 1))),
        column_axes_(axes_of(spec.columns)),
        series_axes_(spec.rows.back()) {}

  Result<MadeFigure> make() {
    std::unordered_map<std::int64_t, std::vector<const ValueRow*>> values;
    for (const ValueRow& value : selection_.values) values[value.cell_id].push_back(&value);
    std::set<std::string> protocols;
    std::vector<std::pair<const CellRow*, Place>> clean;
    for (const CellRow& cell : selection_.cells) {
      GAUNTLET_TRY(const std::optional<Place> place, place_of(cell));
      if (!place) continue;
      if (is_budget(x_) && place->attack.empty() && shows("protocol")) {
        clean.emplace_back(&cell, *place);
        continue;
      }
      protocols.insert(cell.cell.protocol);
      for (const std::string& metric : spec_.metrics)
        GAUNTLET_CHECK_OK(add(cell, *place, metric, values[cell.cell_id]));
    }
    for (const auto& [cell, place] : clean)
      GAUNTLET_CHECK_OK(add_clean(*cell, place, protocols, values[cell->cell_id]));
    if (lines_.empty()) {
      return fail(
          ErrorCode::kNotFound,
          "no cell that the filter leaves has {} and an attack with the option '{}'; along the x axis "
          "there may be bits or an option of the attacks, as epsilon_image or steps",
          fmt::join(spec_.metrics, " or "), x_);
    }
    GAUNTLET_CHECK_OK(fill());
    return std::move(made_);
  }

 private:
  /// Nothing for a cell whose attack has no such option. Clean queries lie at budget 0 and nowhere else.
  Result<std::optional<Place>> place_of(const CellRow& cell) {
    const bool is_clean = cell.cell.attack == "none";
    if (is_clean) {
      if (x_ == "bits") return std::optional(Place{static_cast<double>(cell.cell.bits), ""});
      return is_budget(x_) ? std::optional(Place{0, ""}) : std::nullopt;
    }
    GAUNTLET_TRY(
        db::Statement * statement,
        connection_.cached("SELECT sp.canonical FROM cell_jobs cj JOIN roles ro ON ro.role_id = "
                           "cj.role_id JOIN job_specs sp ON sp.job_id = cj.job_id WHERE cj.cell_id = "
                           "? AND ro.name IN ('craft', 'craft_member') ORDER BY ro.name, cj.job_id"));
    GAUNTLET_CHECK_OK(statement->bind_all(cell.cell_id));
    std::optional<Place> place;
    std::set<std::string> entries;
    while (true) {
      GAUNTLET_TRY(const bool row, statement->step());
      if (!row) break;
      const Json form = Json::parse(statement->text(0), nullptr, false);
      if (!form.is_object() || !form.contains("config")) continue;
      entries.insert(form.value("entry", ""));
      const Json options = form["config"].value("attack", Json::object());
      if (!place && options.contains(x_) && options[x_].is_number())
        place = Place{options[x_].get<double>(), ""};
    }
    if (x_ == "bits") place = Place{static_cast<double>(cell.cell.bits), ""};
    if (place) place->attack = fmt::format("{}", fmt::join(entries, " "));
    if (place && x_ == "epsilon_image") place->x *= kGreyLevels;
    return place;
  }

  [[nodiscard]] bool shows(const std::string& axis) const {
    return std::ranges::count(row_axes_, axis) + std::ranges::count(column_axes_, axis) +
               std::ranges::count(series_axes_, axis) >
           0;
  }

  /// Clean queries know no protocol: they begin the line of every one there is.
  Status add_clean(const CellRow& clean, const Place& place, const std::set<std::string>& protocols,
                   const std::vector<const ValueRow*>& values) {
    for (const std::string& protocol : protocols) {
      CellRow cell = clean;
      cell.cell.protocol = protocol;
      for (const std::string& metric : spec_.metrics) {
        if (!lines_.contains({key_of(cell, metric, row_axes_), key_of(cell, metric, column_axes_),
                              key_of(cell, metric, series_axes_)}))
          continue;
        GAUNTLET_CHECK_OK(add(of_protocols_.emplace_back(cell), place, metric, values));
      }
    }
    return {};
  }

  AxisKey key_of(const CellRow& cell, const std::string& metric, const std::vector<std::string>& axes) const {
    AxisKey key;
    for (const std::string& axis : axes) key.push_back(value_of(cell, metric, axis));
    return key;
  }

  Status add(const CellRow& cell, const Place& place, const std::string& metric,
             const std::vector<const ValueRow*>& values) {
    const ValueRow* number = nullptr;
    for (const ValueRow* value : values) {
      if (value->metric == metric && value->value) number = value;
    }
    if (number == nullptr) {
      if (cell.expects(metric)) made_.missing.push_back({cell.sweep, cell.cell, metric});
      return {};
    }
    const AxisKey row = key_of(cell, metric, row_axes_);
    const AxisKey column = key_of(cell, metric, column_axes_);
    const AxisKey series = key_of(cell, metric, series_axes_);
    rows_.insert(row);
    columns_.insert(column);
    series_.insert(series);
    CurveLine& line = lines_[{row, column, series}];
    GAUNTLET_CHECK_OK(check_same(line, cell, place));
    const CurvePoint point{&cell, *number->value, number->job_id, metric, number->higher_is_better};
    const auto [known, is_new] = line.points[place.x].emplace(cell.cell.seed, point);
    if (!is_new && known->second.job_id != point.job_id) {
      return fail(ErrorCode::kInvalid,
                  "two numbers would be one point, at {} = {:g} ({}; {}); filter one of them", x_, place.x,
                  cell_text(known->second.cell->sweep, known->second.cell->cell),
                  cell_text(cell.sweep, cell.cell));
    }
    for (std::size_t level = 0; level < kCurveLevels.size(); ++level) {
      const std::string name = fmt::format("{}:{}", metric, kCurveLevels[level].row);
      for (const ValueRow* value : values) {
        if (value->metric == name && value->value)
          line.levels[level][place.x].emplace(cell.cell.seed, *value->value);
      }
    }
    return {};
  }

  /// Cells of a line differ in seed, in what lies along the axis, and in the attack's label only.
  Status check_same(CurveLine& line, const CellRow& cell, const Place& place) {
    if (line.cell == nullptr) {
      line.cell = &cell;
      line.attack = place.attack;
      return {};
    }
    const bool one_is_clean = place.attack.empty() || line.attack.empty();
    for (const std::string& axis : table_axes()) {
      if (axis == "seed" || axis == "metric" || axis == "sweep" || axis == x_ || axis == "attack") continue;
      if (axis == "protocol" && one_is_clean) continue;
      if (value_of(*line.cell, "", axis) == value_of(cell, "", axis)) continue;
      return fail(
          ErrorCode::kInvalid,
          "two numbers that differ in {} would be on one line ({}; {}); put '{}' on rows or columns, or "
          "filter by it",
          axis, cell_text(line.cell->sweep, line.cell->cell), cell_text(cell.sweep, cell.cell), axis);
    }
    if (!one_is_clean && line.attack != place.attack) {
      return fail(ErrorCode::kInvalid,
                  "numbers of the attacks {} and {} would be on one line; filter by attack", line.attack,
                  place.attack);
    }
    if (line.attack.empty()) {
      line.cell = &cell;
      line.attack = place.attack;
    }
    return {};
  }

  Status fill() {
    Figure& figure = made_.figure;
    figure.title = spec_.title;
    figure.x_label = x_ == "epsilon_image" ? "epsilon, grey levels" : x_;
    figure.y_label = fmt::format("{}", fmt::join(spec_.metrics, ", "));
    const std::vector<AxisKey> rows = in_order(rows_, row_axes_, spec_);
    const std::vector<AxisKey> columns = in_order(columns_, column_axes_, spec_);
    const std::vector<AxisKey> series = in_order(series_, series_axes_, spec_);
    figure.n_columns = columns.size();
    for (const AxisKey& key : series)
      figure.legend.push_back(
          legend_name(label(series_axes_, key), fmt::format("{}", fmt::join(series_axes_, " "))));
    for (const AxisKey& row : rows) {
      for (const AxisKey& column : columns) {
        const std::string left = label(row_axes_, row);
        const std::string right = label(column_axes_, column);
        Panel panel{left + (left.empty() || right.empty() ? "" : ", ") + right, {}};
        for (std::size_t style = 0; style < series.size(); ++style) {
          const auto line = lines_.find({row, column, series[style]});
          if (line == lines_.end()) continue;
          GAUNTLET_CHECK_OK(draw(line->second, style, panel));
          const std::string& name = figure.legend[style];
          GAUNTLET_CHECK_OK(
              note_median(line->second, panel.title.empty() ? name : panel.title + ", " + name));
        }
        for (const AxisKey& key : series) {
          const auto line = lines_.find({row, column, key});
          if (line != lines_.end() && draw_levels(line->second, panel)) break;
        }
        figure.panels.push_back(std::move(panel));
      }
    }
    if (figure.legend.size() <= kMaxSeries) return {};
    return fail(ErrorCode::kInvalid, "a picture shows at most {} series, not {}; narrow the filter",
                kMaxSeries, figure.legend.size());
  }

  /// The line as measured; over a budget that dotted, and its envelope.
  Status draw(const CurveLine& line, std::size_t style, Panel& panel) {
    Series raw{style, {}, {}, {}, false};
    for (const auto& [x, seeds] : line.points)
      add_point(x, numbers_of(seeds, [](const CurvePoint& point) { return point.value; }), raw);
    Series envelope{style, {}, {}, {}, false};
    if (is_budget(x_)) {
      GAUNTLET_TRY(envelope, envelope_of(connection_, line, style));
    }
    if (!envelope.x.empty()) {
      raw.dotted = true;
      raw.spread.clear();
      panel.series.push_back(std::move(raw));
      raw = envelope;
    }
    if (std::all_of(raw.spread.begin(), raw.spread.end(), [](double spread) { return spread == 0; }))
      raw.spread.clear();
    panel.series.push_back(std::move(raw));
    return {};
  }

  /// Only lines over a budget that have clean queries and worst cases have such a number.
  Status note_median(const CurveLine& line, const std::string& name) {
    if (!is_budget(x_)) return {};
    GAUNTLET_TRY(const std::optional<double> median, median_budget(connection_, line));
    if (!median) return {};
    const bool is_within = std::isfinite(*median);
    made_.notes.push_back(fmt::format(
        "{}: half of the queries are halfway from clean to their oracle floor {} {:g} ({})", name,
        is_within ? "at" : "above", is_within ? *median : line.points.rbegin()->first, made_.figure.x_label));
    return {};
  }

  /// Whether the line has any.
  bool draw_levels(const CurveLine& line, Panel& panel) {
    bool has_any = false;
    for (std::size_t level = 0; level < kCurveLevels.size(); ++level) {
      if (line.levels[level].empty()) continue;
      has_any = true;
      std::vector<std::string>& legend = made_.figure.legend;
      const auto known = std::find(legend.begin(), legend.end(), kCurveLevels[level].legend);
      Series series{static_cast<std::size_t>(known - legend.begin()), {}, {}, {}, false};
      if (known == legend.end()) legend.emplace_back(kCurveLevels[level].legend);
      for (const auto& [x, seeds] : line.levels[level])
        add_point(x, numbers_of(seeds, [](double value) { return value; }), series);
      series.spread.clear();
      panel.series.push_back(std::move(series));
    }
    return has_any;
  }

  [[nodiscard]] std::string label(const std::vector<std::string>& axes, const AxisKey& key) const {
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < axes.size(); ++i) {
      const std::string part = label_of(spec_, axes[i], key[i]);
      if (!part.empty()) parts.push_back(part);
    }
    return fmt::format("{}", fmt::join(parts, " "));
  }

  db::Connection& connection_;
  const TableSpec& spec_;
  std::string x_;
  const CellSelection& selection_;
  std::vector<std::string> row_axes_;
  std::vector<std::string> column_axes_;
  std::vector<std::string> series_axes_;
  std::deque<CellRow> of_protocols_;  ///< clean cells, once for every protocol; lines point at them
  std::set<AxisKey> rows_;
  std::set<AxisKey> columns_;
  std::set<AxisKey> series_;
  std::map<std::tuple<AxisKey, AxisKey, AxisKey>, CurveLine> lines_;
  MadeFigure made_;
};

}  // namespace

Result<MadeFigure> curve_figure(db::Connection& connection, const TableSpec& spec, const std::string& x) {
  std::vector<std::string> metrics = spec.metrics;
  for (const std::string& metric : spec.metrics) {
    for (const CurveLevel& level : kCurveLevels) metrics.push_back(fmt::format("{}:{}", metric, level.row));
  }
  GAUNTLET_TRY(const CellSelection selection, select_cells(connection, spec.filter, metrics));
  return CurveFigure(connection, spec, x, selection).make();
}

}  // namespace gauntlet::results
