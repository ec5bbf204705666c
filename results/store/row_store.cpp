#include "results/store/row_store.hpp"

#include <cmath>

#include "core/base/hash.hpp"
#include "core/base/json.hpp"

namespace gauntlet::results {
namespace {

std::optional<double> finite_or_null(double value) {
  return std::isnan(value) ? std::optional<double>() : std::optional<double>(value);
}

std::string text_at(const Json& document, const char* name) {
  const auto found = document.find(name);
  if (found == document.end()) return "";
  return found->is_string() ? found->get<std::string>()
                            : found->dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::optional<std::int64_t> integer_at(const Json& document, const char* name) {
  const auto found = document.find(name);
  if (found == document.end() || !found->is_number_integer()) return std::nullopt;
  return found->get<std::int64_t>();
}

}  // namespace

Result<std::int64_t> RowStore::metric_id(const spec::ResultRow& row) {
  const auto known = metrics_.find(std::tie(row.metric, row.unit, row.higher_is_better));
  if (known != metrics_.end()) return known->second;
  GAUNTLET_TRY(
      db::Statement * insert,
      connection_->cached("INSERT OR IGNORE INTO metrics (name, unit, higher_is_better) VALUES (?, ?, ?)"));
  GAUNTLET_CHECK_OK(insert->run_with(row.metric, row.unit, row.higher_is_better));
  GAUNTLET_TRY(db::Statement * find,
               connection_->cached("SELECT metric_id FROM metrics WHERE name = ? AND unit = ? "
                                   "AND higher_is_better = ?"));
  GAUNTLET_CHECK_OK(find->bind_all(row.metric, row.unit, row.higher_is_better));
  GAUNTLET_CHECK_OK(find->step());
  const std::int64_t id = find->integer(0);
  find->reset();
  metrics_.emplace(std::tuple(row.metric, row.unit, row.higher_is_better), id);
  return id;
}

Status RowStore::insert(JobId job, AttemptNo attempt, std::span<const spec::ResultRow> rows,
                        std::span<const spec::Curve> curves) {
  GAUNTLET_TRY(db::Statement * value,
               connection_->cached("INSERT OR REPLACE INTO results (job_id, metric_id, attempt, "
                                   "value, n) VALUES (?, ?, ?, ?, ?)"));
  for (const spec::ResultRow& row : rows) {
    GAUNTLET_TRY(const std::int64_t metric, metric_id(row));
    GAUNTLET_CHECK_OK(value->run_with(job, metric, attempt, finite_or_null(row.value), row.n));
    if (row.per_query.empty()) continue;
    GAUNTLET_TRY(db::Statement * queries,
                 connection_->cached("INSERT OR REPLACE INTO result_queries (job_id, metric_id, "
                                     "per_query) VALUES (?, ?, ?)"));
    GAUNTLET_CHECK_OK(queries->run_with(job, metric, std::as_bytes(std::span(row.per_query))));
  }
  for (const spec::Curve& curve : curves) {
    GAUNTLET_TRY(db::Statement * insert,
                 connection_->cached("INSERT OR REPLACE INTO curves (job_id, name, attempt, "
                                     "x_label, y_label, x, y) VALUES (?, ?, ?, ?, ?, ?, ?)"));
    GAUNTLET_CHECK_OK(insert->run_with(job, curve.name, attempt, curve.x_label, curve.y_label,
                                       std::as_bytes(std::span(curve.x)), std::as_bytes(std::span(curve.y))));
  }
  return {};
}

Status RowStore::remove(JobId job) {
  for (const std::string_view sql :
       {"DELETE FROM results WHERE job_id = ?", "DELETE FROM result_queries WHERE job_id = ?",
        "DELETE FROM curves WHERE job_id = ?"}) {
    GAUNTLET_TRY(db::Statement * statement, connection_->cached(sql));
    GAUNTLET_CHECK_OK(statement->run_with(job));
  }
  return {};
}

Result<std::optional<std::int64_t>> RowStore::environment(const std::string& document) {
  if (document.empty()) return std::optional<std::int64_t>();
  const auto known = environments_.find(document);
  if (known != environments_.end()) return std::optional(known->second);
  const Result<Json> parsed = parse_json(document, "environment");
  const Json object = parsed && parsed->is_object() ? *parsed : Json::object();
  const Digest hash = sha256(document);
  GAUNTLET_TRY(
      db::Statement * insert,
      connection_->cached("INSERT OR IGNORE INTO environments (hash, document, revision, versions, device, "
                          "world_size, threads) VALUES (?, ?, ?, ?, ?, ?, ?)"));
  GAUNTLET_CHECK_OK(insert->run_with(JobKey{hash}, document, text_at(object, "revision"),
                                     text_at(object, "versions"), text_at(object, "device"),
                                     integer_at(object, "world"), integer_at(object, "threads")));
  GAUNTLET_TRY(db::Statement * find,
               connection_->cached("SELECT environment_id FROM environments WHERE hash = ?"));
  GAUNTLET_CHECK_OK(find->bind_all(JobKey{hash}));
  GAUNTLET_CHECK_OK(find->step());
  const std::int64_t id = find->integer(0);
  find->reset();
  environments_.emplace(document, id);
  return std::optional(id);
}

void RowStore::forget() {
  metrics_.clear();
  environments_.clear();
}

}  // namespace gauntlet::results
