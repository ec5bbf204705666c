#include "results/store/selection.hpp"

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "core/base/text.hpp"

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
  GAUNTLET_TRY(db::Statement statement, connection.prepare(sql + " ORDER BY c.cell_id"));
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

Result<std::vector<CellRow>> read_cells(db::Connection& connection, const CellFilter& filter) {
  GAUNTLET_TRY(const auto sets, metric_sets(connection));
  GAUNTLET_TRY(db::Statement statement, cells_statement(connection, filter));
  std::vector<CellRow> cells;
  while (true) {
    GAUNTLET_TRY(const bool row, statement.step());
    if (!row) return cells;
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

// The rows of one cell: its jobs are few, and each job's rows lie together.
Status read_values(db::Connection& connection, const std::unordered_map<std::int64_t, Metric>& metrics,
                   std::int64_t cell_id, std::vector<ValueRow>& values) {
  GAUNTLET_TRY(
      db::Statement * statement,
      connection.cached("SELECT r.metric_id, r.value, r.n, r.job_id, e.revision, e.versions, e.device "
                        "FROM cell_jobs cj JOIN results r ON r.job_id = cj.job_id "
                        "JOIN attempts a ON a.job_id = r.job_id AND a.attempt = r.attempt "
                        "LEFT JOIN environments e ON e.environment_id = a.environment_id "
                        "WHERE cj.cell_id = ?"));
  GAUNTLET_CHECK_OK(statement->bind_all(cell_id));
  const std::size_t first = values.size();
  while (true) {
    GAUNTLET_TRY(const bool row, statement->step());
    if (!row) break;
    const auto metric = metrics.find(statement->integer(0));
    if (metric == metrics.end()) continue;
    ValueRow value;
    value.cell_id = cell_id;
    value.metric = metric->second.name;
    value.unit = metric->second.unit;
    value.higher_is_better = metric->second.higher_is_better;
    if (!statement->is_null(1)) value.value = statement->real(1);
    value.n = statement->integer(2);
    value.job_id = statement->integer(3);
    value.revision = statement->text(4);
    value.versions = statement->text(5);
    value.device = statement->text(6);
    values.push_back(std::move(value));
  }
  std::sort(values.begin() + static_cast<std::ptrdiff_t>(first), values.end(),
            [](const ValueRow& a, const ValueRow& b) {
              return std::tie(a.metric, a.job_id) < std::tie(b.metric, b.job_id);
            });
  return {};
}

Status read_versions(db::Connection& connection, std::int64_t cell_id,
                     std::set<std::tuple<std::string, std::string, std::int64_t>>& versions,
                     std::set<std::int64_t>& shapes) {
  GAUNTLET_TRY(
      db::Statement * statement,
      connection.cached("SELECT sh.shape_id, k.name, sh.entry, sh.version FROM cell_jobs cj "
                        "JOIN jobs j ON j.job_id = cj.job_id JOIN job_shapes sh ON sh.shape_id = j.shape_id "
                        "JOIN job_kinds k ON k.kind = sh.kind WHERE cj.cell_id = ?"));
  GAUNTLET_CHECK_OK(statement->bind_all(cell_id));
  while (true) {
    GAUNTLET_TRY(const bool row, statement->step());
    if (!row) return {};
    if (!shapes.insert(statement->integer(0)).second) continue;
    versions.emplace(statement->text(1), statement->text(2), statement->integer(3));
  }
}

Result<CellSelection> read_all(db::Connection& connection, const CellFilter& filter,
                               const std::vector<std::string>& names) {
  CellSelection selection;
  GAUNTLET_TRY(selection.cells, read_cells(connection, filter));
  GAUNTLET_TRY(const auto metrics, read_metrics(connection, names));
  std::set<std::tuple<std::string, std::string, std::int64_t>> versions;
  std::set<std::int64_t> shapes;
  for (const CellRow& cell : selection.cells) {
    GAUNTLET_CHECK_OK(read_values(connection, metrics, cell.cell_id, selection.values));
    GAUNTLET_CHECK_OK(read_versions(connection, cell.cell_id, versions, shapes));
  }
  for (const auto& [kind, entry, version] : versions) selection.versions.push_back({kind, entry, version});
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

}  // namespace gauntlet::results
