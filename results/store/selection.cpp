#include "results/store/selection.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <tuple>
#include <unordered_map>

#include "core/base/text.hpp"
#include "results/query/where.hpp"

namespace gauntlet::results {
namespace {

constexpr std::string_view kCellsSql =
    "SELECT c.cell_id, s.name, c.dataset, c.model, c.bits, c.defense, c.attack, c.protocol, c.direction, "
    "c.variant, "
    "c.seed, c.metric_set FROM sweeps s JOIN cells c ON c.sweep_id = s.sweep_id";

struct FilterColumn {
  std::string_view name;
  std::string_view sql;
  bool integer;
};

constexpr std::array kFilterColumns = {
    FilterColumn{"sweep", "s.name", false},        FilterColumn{"dataset", "c.dataset", false},
    FilterColumn{"model", "c.model", false},       FilterColumn{"bits", "c.bits", true},
    FilterColumn{"defense", "c.defense", false},   FilterColumn{"attack", "c.attack", false},
    FilterColumn{"protocol", "c.protocol", false}, FilterColumn{"direction", "c.direction", false},
    FilterColumn{"variant", "c.variant", false},   FilterColumn{"seed", "c.seed", true}};

std::string placeholders(std::size_t n) {
  std::string text = "(";
  for (std::size_t i = 0; i < n; ++i) text += i == 0 ? "?" : ",?";
  return text + ")";
}

Result<const FilterColumn*> filter_column(const std::string& name) {
  for (const FilterColumn& column : kFilterColumns) {
    if (column.name == name) return &column;
  }
  std::vector<std::string> known;
  for (const FilterColumn& column : kFilterColumns) known.emplace_back(column.name);
  return fail(ErrorCode::kInvalid, "{}", unknown_name_message("column", name, known));
}

Result<db::Statement> cells_statement(db::Connection& connection, const CellFilter& filter) {
  std::string sql(kCellsSql);
  std::string_view joint = " WHERE ";
  for (const auto& [name, values] : filter) {
    GAUNTLET_TRY(const FilterColumn* column, filter_column(name));
    sql += fmt::format("{}{} IN {}", joint, column->sql, placeholders(values.size()));
    joint = " AND ";
  }
  GAUNTLET_TRY(db::Statement statement, connection.prepare(sql));
  int index = 0;
  for (const auto& [name, values] : filter) {
    GAUNTLET_TRY(const FilterColumn* column, filter_column(name));
    for (const std::string& value : values) {
      ++index;
      if (!column->integer) {
        GAUNTLET_CHECK_OK(statement.bind_at(index, value));
        continue;
      }
      std::int64_t number = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
      if (error != std::errc() || end != value.data() + value.size()) {
        return fail(ErrorCode::kInvalid, "{} is an integer, not '{}'", name, value);
      }
      GAUNTLET_CHECK_OK(statement.bind_at(index, number));
    }
  }
  return statement;
}

Result<std::unordered_map<std::int64_t, std::set<std::string>>> metric_sets(db::Connection& connection) {
  std::unordered_map<std::int64_t, std::set<std::string>> sets;
  GAUNTLET_TRY(db::Statement * statement, connection.cached("SELECT metric_set, metric FROM cell_metrics"));
  while (true) {
    GAUNTLET_TRY(const bool row, statement->step());
    if (!row) return sets;
    sets[statement->integer(0)].emplace(statement->text(1));
  }
}

/// By cell_id. Whole rows that SQLite sorts take longer than reading them.
std::vector<CellRow> in_order(std::vector<CellRow> cells) {
  std::vector<std::pair<std::int64_t, std::size_t>> order;
  order.reserve(cells.size());
  for (const CellRow& cell : cells) order.emplace_back(cell.cell_id, order.size());
  if (std::is_sorted(order.begin(), order.end())) return cells;
  std::sort(order.begin(), order.end());
  std::vector<CellRow> sorted;
  sorted.reserve(cells.size());
  for (const auto& [cell_id, at] : order) sorted.push_back(std::move(cells[at]));
  return sorted;
}

Result<std::vector<CellRow>> read_cells(db::Connection& connection, const CellFilter& filter) {
  GAUNTLET_TRY(const auto sets, metric_sets(connection));
  GAUNTLET_TRY(db::Statement statement, cells_statement(connection, filter));
  std::vector<CellRow> cells;
  while (true) {
    GAUNTLET_TRY(const bool row, statement.step());
    if (!row) return in_order(std::move(cells));
    CellRow cell;
    cell.cell_id = statement.integer(0);
    cell.sweep = statement.text(1);
    cell.cell.dataset = statement.text(2);
    cell.cell.model = statement.text(3);
    cell.cell.bits = statement.integer(4);
    cell.cell.defense = statement.text(5);
    cell.cell.attack = statement.text(6);
    cell.cell.protocol = statement.text(7);
    cell.cell.direction = statement.text(8);
    cell.cell.variant = statement.text(9);
    cell.cell.seed = static_cast<std::uint64_t>(statement.integer(10));
    const auto set = sets.find(statement.integer(11));
    if (set != sets.end()) cell.metrics = set->second;
    cells.push_back(std::move(cell));
  }
}

// A metric name may stand for several metrics that differ in unit or direction.
struct Metric {
  std::string name;
  std::string unit;
  bool higher_is_better = true;
};

Result<std::unordered_map<std::int64_t, Metric>> read_metrics(db::Connection& connection,
                                                              const std::vector<std::string>& names) {
  std::unordered_map<std::int64_t, Metric> metrics;
  GAUNTLET_TRY(db::Statement * statement,
               connection.cached("SELECT metric_id, name, unit, higher_is_better FROM metrics"));
  while (true) {
    GAUNTLET_TRY(const bool row, statement->step());
    if (!row) return metrics;
    Metric metric{std::string(statement->text(1)), std::string(statement->text(2)),
                  statement->integer(3) != 0};
    if (std::find(names.begin(), names.end(), metric.name) == names.end()) continue;
    metrics.emplace(statement->integer(0), std::move(metric));
  }
}

struct Environment {
  std::string revision;
  std::string versions;
  std::string device;
};

/// A number of a job, as it lies in the database.
struct Reading {
  std::int64_t metric = 0;
  std::optional<double> value;
  std::int64_t n = 0;
  std::int64_t environment = 0;
};

/// Ids that lie close together, ends included.
struct IdSpan {
  std::int64_t first = 0;
  std::int64_t last = 0;
};

/// Of ascending ids. One statement over a span costs a fraction of one per id, even with some rows that
/// nobody wants in between.
std::vector<IdSpan> spans_of(const std::vector<std::int64_t>& ids) {
  constexpr std::int64_t kMaxGap = 8;
  std::vector<IdSpan> spans;
  for (const std::int64_t id : ids) {
    if (spans.empty() || id - spans.back().last > kMaxGap) spans.push_back({id, id});
    spans.back().last = id;
  }
  return spans;
}

/// Runs a statement with the ends of each span as its two parameters; `take` gets every row.
template <class Take>
Status read_spans(db::Connection& connection, std::string_view sql, const std::vector<IdSpan>& spans,
                  Take take) {
  GAUNTLET_TRY(db::Statement * statement, connection.cached(sql));
  for (const IdSpan& span : spans) {
    GAUNTLET_CHECK_OK(statement->bind_all(span.first, span.last));
    while (true) {
      GAUNTLET_TRY(const bool row, statement->step());
      if (!row) break;
      GAUNTLET_CHECK_OK(take(*statement));
    }
  }
  return {};
}

/// Reads what cells need of their jobs. Cells share most of their jobs (a target model, crafted queries), so
/// each job is read once.
class JobReader {
 public:
  JobReader(db::Connection& connection, const std::unordered_map<std::int64_t, Metric>& metrics)
      : connection_(connection), metrics_(metrics) {}

  /// The values of ascending cells, by cell, metric and job.
  Result<std::vector<ValueRow>> read(const std::vector<CellRow>& cells) {
    GAUNTLET_CHECK_OK(read_jobs_of(cells));
    GAUNTLET_CHECK_OK(read_shapes());
    GAUNTLET_CHECK_OK(read_readings());
    std::vector<ValueRow> values;
    for (const auto& [cell_id, job_id] : jobs_of_cells_) {
      const auto readings = readings_.find(job_id);
      if (readings == readings_.end()) continue;
      for (const Reading& reading : readings->second) {
        GAUNTLET_TRY(const Environment* environment, environment_of(reading.environment));
        const Metric& metric = metrics_.at(reading.metric);
        values.push_back({.cell_id = cell_id,
                          .metric = metric.name,
                          .value = reading.value,
                          .n = reading.n,
                          .unit = metric.unit,
                          .higher_is_better = metric.higher_is_better,
                          .job_id = job_id,
                          .revision = environment->revision,
                          .versions = environment->versions,
                          .device = environment->device});
      }
    }
    const auto is_before = [](const ValueRow& a, const ValueRow& b) {
      return std::tie(a.cell_id, a.metric, a.job_id) < std::tie(b.cell_id, b.metric, b.job_id);
    };
    if (!std::is_sorted(values.begin(), values.end(), is_before))
      std::sort(values.begin(), values.end(), is_before);
    return values;
  }

  /// Of every job read so far.
  Result<std::vector<EntryVersion>> versions() {
    std::set<std::tuple<std::string, std::string, std::int64_t>> distinct;
    for (const std::int64_t shape : shapes_) {
      GAUNTLET_TRY(db::Statement * statement,
                   connection_.cached("SELECT k.name, sh.entry, sh.version FROM job_shapes sh "
                                      "JOIN job_kinds k ON k.kind = sh.kind WHERE sh.shape_id = ?"));
      GAUNTLET_CHECK_OK(statement->bind_all(shape));
      GAUNTLET_TRY(const bool row, statement->step());
      if (row) distinct.emplace(statement->text(0), statement->text(1), statement->integer(2));
      statement->reset();
    }
    std::vector<EntryVersion> versions;
    for (const auto& [kind, entry, version] : distinct) versions.push_back({kind, entry, version});
    return versions;
  }

 private:
  Status read_jobs_of(const std::vector<CellRow>& cells) {
    std::vector<std::int64_t> ids;
    for (const CellRow& cell : cells) ids.push_back(cell.cell_id);
    GAUNTLET_CHECK_OK(read_spans(
        connection_,
        "SELECT cell_id, job_id FROM cell_jobs WHERE cell_id BETWEEN ? AND ? ORDER BY cell_id, job_id",
        spans_of(ids), [&](const db::Statement& row) -> Status {
          if (!std::binary_search(ids.begin(), ids.end(), row.integer(0))) return {};
          jobs_of_cells_.emplace_back(row.integer(0), row.integer(1));
          jobs_.push_back(row.integer(1));
          return {};
        }));
    std::sort(jobs_.begin(), jobs_.end());
    jobs_.erase(std::unique(jobs_.begin(), jobs_.end()), jobs_.end());
    return {};
  }

  Status read_shapes() {
    return read_spans(connection_, "SELECT job_id, shape_id FROM jobs WHERE job_id BETWEEN ? AND ?",
                      spans_of(jobs_), [&](const db::Statement& row) -> Status {
                        if (std::binary_search(jobs_.begin(), jobs_.end(), row.integer(0)))
                          shapes_.insert(row.integer(1));
                        return {};
                      });
  }

  Status read_readings() {
    std::vector<std::int64_t> metrics;
    for (const auto& [id, metric] : metrics_) metrics.push_back(id);
    std::sort(metrics.begin(), metrics.end());
    const std::string sql = fmt::format(
        "SELECT r.job_id, r.metric_id, r.value, r.n, a.environment_id FROM results r "
        "CROSS JOIN attempts a ON a.job_id = r.job_id AND a.attempt = r.attempt "
        "WHERE r.job_id BETWEEN ? AND ? AND +r.metric_id IN ({})",
        fmt::join(metrics, ","));
    return read_spans(connection_, sql, spans_of(jobs_), [&](const db::Statement& row) -> Status {
      Reading reading{
          .metric = row.integer(1), .value = {}, .n = row.integer(3), .environment = row.integer(4)};
      if (!row.is_null(2)) reading.value = row.real(2);
      readings_[row.integer(0)].push_back(reading);
      return {};
    });
  }

  /// 0: none was reported.
  Result<const Environment*> environment_of(std::int64_t id) {
    const auto [place, is_new] = environments_.try_emplace(id);
    if (!is_new) return &place->second;
    GAUNTLET_TRY(
        db::Statement * statement,
        connection_.cached("SELECT revision, versions, device FROM environments WHERE environment_id = ?"));
    GAUNTLET_CHECK_OK(statement->bind_all(id));
    GAUNTLET_TRY(const bool row, statement->step());
    if (row) {
      place->second = {std::string(statement->text(0)), std::string(statement->text(1)),
                       std::string(statement->text(2))};
    }
    statement->reset();
    return &place->second;
  }

  db::Connection& connection_;
  const std::unordered_map<std::int64_t, Metric>& metrics_;
  std::vector<std::pair<std::int64_t, std::int64_t>> jobs_of_cells_;  ///< (cell, job), ascending
  std::vector<std::int64_t> jobs_;                                    ///< ascending, distinct
  std::unordered_map<std::int64_t, std::vector<Reading>> readings_;
  std::unordered_map<std::int64_t, Environment> environments_;
  std::set<std::int64_t> shapes_;
};

Result<CellSelection> read_all(db::Connection& connection, const CellFilter& filter,
                               const std::vector<std::string>& names) {
  CellSelection selection;
  GAUNTLET_TRY(selection.cells, read_cells(connection, filter));
  GAUNTLET_TRY(const auto metrics, read_metrics(connection, names));
  JobReader reader(connection, metrics);
  GAUNTLET_TRY(selection.values, reader.read(selection.cells));
  GAUNTLET_TRY(selection.versions, reader.versions());
  return selection;
}

}  // namespace

Result<CellSelection> select_cells(db::Connection& connection, const CellFilter& filter,
                                   const std::vector<std::string>& metrics) {
  // One read transaction, so that a running coordinator cannot change the picture half-way.
  const bool own = !connection.in_transaction();
  if (own) GAUNTLET_CHECK_OK(connection.execute("BEGIN"));
  Result<CellSelection> selection = read_all(connection, filter, metrics);
  if (own) GAUNTLET_CHECK_OK(connection.execute("ROLLBACK"));
  return selection;
}

Result<std::vector<std::string>> sweep_names(db::Connection& connection) {
  std::vector<std::string> names;
  GAUNTLET_TRY(db::Statement * statement, connection.cached("SELECT name FROM sweeps ORDER BY name"));
  while (true) {
    GAUNTLET_TRY(const bool row, statement->step());
    if (!row) return names;
    names.emplace_back(statement->text(0));
  }
}

Result<std::set<std::int64_t>> cells_where(db::Connection& connection, std::string_view condition) {
  GAUNTLET_TRY(const Where where, parse_where(condition, cell_columns()));
  GAUNTLET_TRY(db::Statement statement, connection.prepare("SELECT cell_id FROM cells WHERE " + where.sql));
  GAUNTLET_CHECK_OK(bind_where(statement, where));
  std::set<std::int64_t> cells;
  while (true) {
    GAUNTLET_TRY(const bool row, statement.step());
    if (!row) return cells;
    cells.insert(statement.integer(0));
  }
}

}  // namespace gauntlet::results
