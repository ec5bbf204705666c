#include "results/table/pivot.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <span>
#include <unordered_map>

#include "core/db/migrate.hpp"
#include "results/table/axes.hpp"
#include "results/table/check_marks.hpp"
#include "results/table/mixing.hpp"
#include "results/table/paper.hpp"
#include "results/table/properties.hpp"
#include "results/table/provenance.hpp"
#include "results/table/reading.hpp"
#include "results/table/significance.hpp"
#include "results/table/statistics.hpp"

namespace gauntlet::results {
namespace {

using Key = AxisKey;

class Pivot {
 public:
  Pivot(const TableSpec& spec, const CellSelection& selection)
      : spec_(spec),
        selection_(selection),
        row_axes_(axes_of(spec.rows)),
        column_axes_(axes_of(spec.columns)),
        row_reader_(row_axes_),
        column_reader_(column_axes_) {}

  Result<Table> make() {
    place_readings();
    if (groups_.empty()) return nothing_found();
    if (!spec_.shows("sweep")) merge_sweeps();
    for (const auto& [place, readings] : groups_) GAUNTLET_CHECK_OK(check_group(readings));
    GAUNTLET_CHECK_OK(check_columns(spec_, groups_));
    fill_headings();
    fill_entries();
    mark_best();
    if (spec_.collapse) collapse_levels();
    GAUNTLET_CHECK_OK(add_references());
    table_.provenance = provenance_of(selection_, std::move(used_));
    return std::move(table_);
  }

 private:
  // ---------------------------------------------------------------- grouping

  void place_readings() {
    auto next = selection_.values.begin();  // they lie in the order of the cells
    for (const CellRow& cell : selection_.cells) {
      const auto first = std::find_if(next, selection_.values.end(),
                                      [&](const ValueRow& value) { return value.cell_id >= cell.cell_id; });
      next = std::find_if(first, selection_.values.end(),
                          [&](const ValueRow& value) { return value.cell_id != cell.cell_id; });
      place_readings_of(cell, {first, next});
    }
  }

  void place_readings_of(const CellRow& cell, std::span<const ValueRow> values) {
    for (const std::string& metric : spec_.metrics) {
      bool found = false;
      for (const ValueRow& value : values) {
        if (value.metric != metric) continue;
        place({&cell, value.value ? &value : nullptr, metric});
        found = true;
      }
      if (!found && cell.expects(metric)) place({&cell, nullptr, metric});
    }
    if (spec_.references.empty()) return;
    for (const ValueRow& value : values) references_[value.metric].push_back({&cell, &value, value.metric});
  }

  // Most readings fall where another one has fallen, which their axes in one text find sooner than two keys.
  void place(const Reading& reading) {
    place_name_.clear();
    row_reader_.append_to(place_name_, *reading.cell, reading.metric);
    column_reader_.append_to(place_name_, *reading.cell, reading.metric);
    std::vector<Reading>*& group = places_[place_name_];
    if (group == nullptr) group = &groups_[{row_key(reading), column_key(reading)}];
    group->push_back(reading);
  }

  // Two sweeps may ask for the same cell; a number of the same job, or one that both miss, counts once.
  void merge_sweeps() {
    for (auto& group : groups_) {
      std::vector<Reading>& readings = group.second;
      const auto of_first = [&](const Reading& reading) {
        return reading.cell->sweep == readings.front().cell->sweep;
      };
      if (std::all_of(readings.begin(), readings.end(), of_first)) continue;
      const auto same = [](const Reading& a, const Reading& b) {
        if (a.cell->sweep == b.cell->sweep || a.cell->cell != b.cell->cell || a.metric != b.metric)
          return false;
        if ((a.value == nullptr) != (b.value == nullptr)) return false;
        return a.value == nullptr || a.value->job_id == b.value->job_id;
      };
      std::vector<Reading> kept;
      for (Reading& reading : readings) {
        const bool known =
            std::any_of(kept.begin(), kept.end(), [&](const Reading& k) { return same(k, reading); });
        if (!known) kept.push_back(reading);
      }
      readings = std::move(kept);
    }
  }

  Key key_of(const Reading& reading, const std::vector<std::string>& axes) const {
    Key key;
    for (const std::string& axis : axes) key.push_back(value_of(*reading.cell, reading.metric, axis));
    return key;
  }
  Key row_key(const Reading& reading) const { return key_of(reading, row_axes_); }
  Key column_key(const Reading& reading) const { return key_of(reading, column_axes_); }

  tl::unexpected<Error> nothing_found() const {
    std::vector<std::string> conditions;
    for (const auto& [column, values] : spec_.filter)
      conditions.push_back(fmt::format("{} = {}", column, fmt::join(values, " or ")));
    return fail(ErrorCode::kNotFound, "no cell with {} matches the table's filter ({})",
                fmt::join(spec_.metrics, " or "),
                conditions.empty() ? "empty" : fmt::format("{}", fmt::join(conditions, ", ")));
  }

  // ---------------------------------------------------------------- headings

  void fill_headings() {
    std::set<Key> rows;
    std::set<Key> columns;
    for (const auto& [place, readings] : groups_) {
      rows.insert(place.first);
      columns.insert(place.second);
    }
    row_keys_ = in_order(rows, row_axes_, spec_);
    column_keys_ = in_order(columns, column_axes_, spec_);
    for (const Key& key : row_keys_) table_.rows.push_back(heading(key, row_axes_, spec_.rows));
    for (const Key& key : column_keys_) table_.columns.push_back(heading(key, column_axes_, spec_.columns));
    for (const Level& level : spec_.rows) table_.row_titles.push_back(title_of(spec_, level));
    for (const Level& level : spec_.columns) table_.column_titles.push_back(title_of(spec_, level));
    table_.title = spec_.title;
    table_.note = spec_.note;
    table_.metrics = spec_.metrics;
    table_.scale = spec_.scale;
    table_.decimals = spec_.decimals;
    table_.best = spec_.best;
  }

  // Row levels that say the same on every row go into the title; the last level stays.
  void collapse_levels() {
    std::vector<std::string> constant;
    for (std::size_t level = 0; level + 1 < table_.row_titles.size();) {
      const std::string label = table_.rows.front().labels[level];
      const bool same = std::all_of(table_.rows.begin(), table_.rows.end(),
                                    [&](const Heading& row) { return row.labels[level] == label; });
      if (!same) {
        ++level;
        continue;
      }
      const auto at = static_cast<std::ptrdiff_t>(level);
      for (Heading& row : table_.rows) row.labels.erase(row.labels.begin() + at);
      table_.row_titles.erase(table_.row_titles.begin() + at);
      if (!label.empty()) constant.push_back(label);
    }
    if (constant.empty()) return;
    table_.title += fmt::format("{}{}", table_.title.empty() ? "" : ": ", fmt::join(constant, ", "));
  }

  Heading heading(const Key& key, const std::vector<std::string>& axes,
                  const std::vector<Level>& levels) const {
    Heading heading;
    for (std::size_t i = 0; i < axes.size(); ++i) heading.values[axes[i]] = key[i];
    for (const Level& level : levels) {
      std::vector<std::string> parts;
      for (const std::string& axis : level) {
        const std::string part = label_of(spec_, axis, heading.values[axis]);
        if (!part.empty()) parts.push_back(part);
      }
      heading.labels.push_back(fmt::format("{}", fmt::join(parts, " ")));
    }
    return heading;
  }

  // ---------------------------------------------------------------- entries

  void fill_entries() {
    std::set<std::string_view> units;
    for (const Key& row : row_keys_) {
      std::vector<TableEntry> line;
      for (const Key& column : column_keys_) {
        const auto group = groups_.find(std::pair<const Key&, const Key&>(row, column));
        line.push_back(group == groups_.end() ? TableEntry{} : entry_of(group->second, units));
      }
      table_.entries.push_back(std::move(line));
    }
    table_.units.assign(units.begin(), units.end());
  }

  TableEntry entry_of(const std::vector<Reading>& readings, std::set<std::string_view>& units) {
    TableEntry entry;
    entry.metric = readings.front().metric;
    entry.cell = readings.front().cell->cell;
    entry.seeds.reserve(readings.size());
    for (const Reading& reading : readings) {
      if (reading.value == nullptr) {
        table_.missing.push_back({reading.cell->sweep, reading.cell->cell, std::string(reading.metric)});
        continue;
      }
      entry.seeds.push_back({reading.cell->cell.seed, *reading.value->value, reading.value->job_id});
      entry.higher_is_better = reading.value->higher_is_better;
      units.insert(reading.value->unit);
      used_.push_back(reading.value);
    }
    // By seed: the sum must not depend on the rows' order.
    std::sort(entry.seeds.begin(), entry.seeds.end(),
              [](const SeedValue& a, const SeedValue& b) { return a.seed < b.seed; });
    std::vector<double> numbers;
    for (const SeedValue& seed : entry.seeds) numbers.push_back(seed.value);
    set_statistics(entry, numbers);
    entry.expected = static_cast<std::int64_t>(readings.size());
    entry.state = numbers.empty()                    ? EntryState::kMissing
                  : numbers.size() < readings.size() ? EntryState::kPartial
                                                     : EntryState::kValue;
    return entry;
  }

  // ---------------------------------------------------------------- best and second

  void mark_best() {
    if (spec_.best == BestOf::kOff) return;
    for (std::size_t column = 0; column < column_keys_.size(); ++column) {
      std::map<std::string, std::vector<TableEntry*>> blocks;
      for (std::size_t row = 0; row < row_keys_.size(); ++row) {
        TableEntry& entry = table_.entries[row][column];
        if (entry.n > 0) blocks[block_of(row)].push_back(&entry);
      }
      for (auto& [name, entries] : blocks) mark_block(entries);
    }
  }

  // Rows whose numbers compare: with 'metric' among the row axes, only those of one metric.
  std::string block_of(std::size_t row) const {
    std::string name;
    const auto& values = table_.rows[row].values;
    const auto metric = values.find("metric");
    if (metric != values.end()) name = metric->second;
    if (spec_.best != BestOf::kBlock) return name;
    for (std::size_t level = 0; level + 1 < spec_.rows.size(); ++level) {
      for (const std::string& axis : spec_.rows[level]) name += '\n' + values.at(axis);
    }
    return name;
  }

  // ---------------------------------------------------------------- references

  Status add_references() {
    for (const Reference& reference : spec_.references) {
      GAUNTLET_TRY(const std::vector<TableEntry> line, reference_line(reference));
      Heading heading;
      heading.reference = true;
      heading.labels.assign(reference.as_row ? table_.row_titles.size() : table_.column_titles.size(), "");
      heading.labels.front() = reference.label;
      if (reference.as_row) {
        table_.rows.push_back(std::move(heading));
        table_.entries.push_back(line);
      } else {
        table_.columns.push_back(std::move(heading));
        for (std::size_t row = 0; row < line.size(); ++row) table_.entries[row].push_back(line[row]);
      }
    }
    return {};
  }

  // One entry per column (or row); per seed all readings that fall there must agree.
  Result<std::vector<TableEntry>> reference_line(const Reference& reference) {
    const std::vector<Key>& keys = reference.as_row ? column_keys_ : row_keys_;
    std::vector<std::string> axes = reference.as_row ? column_axes_ : row_axes_;
    const std::size_t n_lines = reference.as_row ? table_.columns.size() : table_.rows.size();
    std::vector<TableEntry> line(n_lines);
    for (std::size_t i = 0; i < keys.size(); ++i) {
      std::map<std::uint64_t, double> by_seed;
      for (const Reading& reading : references_[reference.metric]) {
        if (!reading.value->value || !agrees(reading, axes, keys[i])) continue;
        const double value = *reading.value->value;
        const auto [known, first] = by_seed.emplace(reading.cell->cell.seed, value);
        if (!first && std::abs(known->second - value) > 1e-9) {
          return fail(ErrorCode::kInvalid,
                      "the reference {} is not the same for all entries it would stand for: {} and {} at "
                      "seed {}; show it "
                      "as a {} or narrow the filter",
                      reference.metric, known->second, value, reading.cell->cell.seed,
                      reference.as_row ? "column" : "row");
        }
        used_.push_back(reading.value);
      }
      std::vector<double> numbers;
      for (const auto& [seed, value] : by_seed) numbers.push_back(value);
      set_statistics(line[i], numbers);
      line[i].expected = line[i].n;
      line[i].state = numbers.empty() ? EntryState::kBlank : EntryState::kValue;
    }
    return line;
  }

  // Whether the reading lies in the column or row of `key`; the metric axis does not count, the reference has
  // its own.
  static bool agrees(const Reading& reading, const std::vector<std::string>& axes, const Key& key) {
    for (std::size_t i = 0; i < axes.size(); ++i) {
      if (axes[i] != "metric" && value_of(*reading.cell, "", axes[i]) != key[i]) return false;
    }
    return true;
  }

  const TableSpec& spec_;
  const CellSelection& selection_;
  std::vector<std::string> row_axes_;
  std::vector<std::string> column_axes_;
  AxisReader row_reader_;
  AxisReader column_reader_;
  ReadingGroups groups_;
  std::unordered_map<std::string, std::vector<Reading>*> places_;  ///< of groups_, by their axes' values
  std::string place_name_;                                         ///< kept for its memory
  std::map<std::string_view, std::vector<Reading>> references_;    ///< readings by metric
  std::vector<Key> row_keys_;
  std::vector<Key> column_keys_;
  std::vector<const ValueRow*> used_;  ///< some more than once
  Table table_;
};

}  // namespace

std::string cell_text(const std::string& sweep, const spec::Cell& cell) {
  std::string text =
      fmt::format("{}: {} {} {} bits, defense {}", sweep, cell.dataset, cell.model, cell.bits, cell.defense);
  if (!cell.variant.empty()) text += fmt::format(" ({})", cell.variant);
  text += fmt::format(", attack {}", cell.attack);
  if (cell.protocol != "none") text += fmt::format(" ({})", cell.protocol);
  return text + fmt::format(", {}, seed {}", cell.direction, cell.seed);
}

std::string MissingNumber::text() const { return fmt::format("{}: {}", cell_text(sweep, cell), metric); }

Result<Table> make_table(db::Connection& connection, const TableSpec& spec) {
  if (!spec.properties.empty()) return make_properties(connection, spec);
  std::vector<std::string> metrics = spec.metrics;
  for (const Reference& reference : spec.references) metrics.push_back(reference.metric);
  GAUNTLET_TRY(const CellSelection selection, select_cells(connection, spec.filter, metrics));
  GAUNTLET_CHECK_OK(check_versions(connection, selection));
  GAUNTLET_TRY(Table table, Pivot(spec, selection).make());
  GAUNTLET_CHECK_OK(add_significance(connection, spec, table));
  GAUNTLET_CHECK_OK(add_intervals(connection, spec, table));
  GAUNTLET_CHECK_OK(add_paper(spec, table));
  GAUNTLET_CHECK_OK(add_check_marks(connection, spec, table));
  return table;
}

Result<Table> make_table(const std::filesystem::path& database, const TableSpec& spec) {
  GAUNTLET_TRY(db::Connection connection, db::Connection::open_read_only(database));
  GAUNTLET_CHECK_OK(db::check_version(connection));
  return make_table(connection, spec);
}

}  // namespace gauntlet::results
