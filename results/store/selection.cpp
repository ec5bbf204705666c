#include "results/store/selection.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <unordered_map>
#include <utility>

#include "core/base/text.hpp"
#include "results/query/where.hpp"
#include "results/store/id_spans.hpp"
#include "results/store/job_reader.hpp"

namespace gauntlet::results {
namespace {

constexpr std::string_view kCellsSql =
    "SELECT c.cell_id FROM sweeps s JOIN cells c ON c.sweep_id = s.sweep_id";

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

/// Ascending.
Result<std::vector<std::int64_t>> cell_ids(db::Connection& connection, const CellFilter& filter) {
  GAUNTLET_TRY(db::Statement statement, cells_statement(connection, filter));
  std::vector<std::int64_t> ids;
  while (true) {
    GAUNTLET_TRY(const bool row, statement.step());
    if (!row) break;
    ids.push_back(statement.integer(0));
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

using MetricSets = std::unordered_map<std::int64_t, std::shared_ptr<const std::set<std::string>>>;

Result<MetricSets> metric_sets(db::Connection& connection) {
  std::unordered_map<std::int64_t, std::set<std::string>> sets;
  GAUNTLET_TRY(db::Statement * statement, connection.cached("SELECT metric_set, metric FROM cell_metrics"));
  while (true) {
    GAUNTLET_TRY(const bool row, statement->step());
    if (!row) break;
    sets[statement->integer(0)].emplace(statement->text(1));
  }
  MetricSets shared;
  for (auto& [id, set] : sets)
    shared.emplace(id, std::make_shared<const std::set<std::string>>(std::move(set)));
  return shared;
}

Result<std::unordered_map<std::int64_t, std::string>> names_of_sweeps(db::Connection& connection) {
  std::unordered_map<std::int64_t, std::string> names;
  GAUNTLET_TRY(db::Statement * statement, connection.cached("SELECT sweep_id, name FROM sweeps"));
  while (true) {
    GAUNTLET_TRY(const bool row, statement->step());
    if (!row) return names;
    names.emplace(statement->integer(0), statement->text(1));
  }
}

/// First their ids, which an index has, then the rows where they lie: the cells of a sweep lie together.
Result<std::vector<CellRow>> read_cells(db::Connection& connection, const CellFilter& filter) {
  GAUNTLET_TRY(const std::vector<std::int64_t> ids, cell_ids(connection, filter));
  GAUNTLET_TRY(const MetricSets sets, metric_sets(connection));
  GAUNTLET_TRY(const auto sweeps, names_of_sweeps(connection));
  std::vector<CellRow> cells;
  cells.reserve(ids.size());
  AscendingIds wanted(ids);
  GAUNTLET_CHECK_OK(read_spans(
      connection,
      "SELECT cell_id, sweep_id, dataset, model, bits, defense, attack, protocol, direction, variant, seed, "
      "metric_set FROM cells WHERE cell_id BETWEEN ? AND ? ORDER BY cell_id",
      spans_of(ids), [&](const db::Statement& row) -> Status {
        if (!wanted.contain(row.integer(0))) return {};
        CellRow& cell = cells.emplace_back();
        cell.cell_id = row.integer(0);
        cell.sweep = sweeps.at(row.integer(1));
        cell.cell.dataset = row.text(2);
        cell.cell.model = row.text(3);
        cell.cell.bits = row.integer(4);
        cell.cell.defense = row.text(5);
        cell.cell.attack = row.text(6);
        cell.cell.protocol = row.text(7);
        cell.cell.direction = row.text(8);
        cell.cell.variant = row.text(9);
        cell.cell.seed = static_cast<std::uint64_t>(row.integer(10));
        const auto set = sets.find(row.integer(11));
        if (set != sets.end()) cell.metrics = set->second;
        return {};
      }));
  return cells;
}

Result<CellSelection> read_all(db::Connection& connection, const CellFilter& filter,
                               const std::vector<std::string>& names) {
  CellSelection selection;
  GAUNTLET_TRY(selection.cells, read_cells(connection, filter));
  JobReader reader(connection);
  GAUNTLET_TRY(selection.values, reader.read(selection.cells, names));
  GAUNTLET_TRY(selection.versions, reader.versions());
  selection.texts = reader.texts();
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
