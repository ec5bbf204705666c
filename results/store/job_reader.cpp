#include "results/store/job_reader.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <tuple>

#include "results/store/id_spans.hpp"

namespace gauntlet::results {

Result<std::vector<ValueRow>> JobReader::read(const std::vector<CellRow>& cells,
                                              const std::vector<std::string>& metrics) {
  GAUNTLET_CHECK_OK(read_metrics(metrics));
  GAUNTLET_CHECK_OK(read_jobs_of(cells));
  GAUNTLET_CHECK_OK(read_shapes());
  GAUNTLET_CHECK_OK(read_readings());
  std::unordered_map<std::int64_t, std::size_t> first_of_job;
  first_of_job.reserve(readings_.size());
  for (std::size_t at = 0; at < readings_.size(); ++at) first_of_job.emplace(readings_[at].job, at);
  std::vector<ValueRow> values;
  values.reserve(readings_.size());
  for (const auto& [cell_id, job_id] : jobs_of_cells_) {
    const auto first = first_of_job.find(job_id);
    if (first == first_of_job.end()) continue;
    for (std::size_t at = first->second; at < readings_.size() && readings_[at].job == job_id; ++at) {
      const Reading& reading = readings_[at];
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

Result<std::vector<EntryVersion>> JobReader::versions() {
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

Status JobReader::read_metrics(const std::vector<std::string>& names) {
  GAUNTLET_TRY(db::Statement * statement,
               connection_.cached("SELECT metric_id, name, unit, higher_is_better FROM metrics"));
  while (true) {
    GAUNTLET_TRY(const bool row, statement->step());
    if (!row) return {};
    const std::string_view name = statement->text(1);
    if (std::find(names.begin(), names.end(), name) == names.end()) continue;
    metrics_.emplace(statement->integer(0),
                     Metric{kept(name), kept(statement->text(2)), statement->integer(3) != 0});
  }
}

Status JobReader::read_jobs_of(const std::vector<CellRow>& cells) {
  std::vector<std::int64_t> ids;
  ids.reserve(cells.size());
  for (const CellRow& cell : cells) ids.push_back(cell.cell_id);
  AscendingIds wanted(ids);
  GAUNTLET_CHECK_OK(read_spans(
      connection_,
      "SELECT cell_id, job_id FROM cell_jobs WHERE cell_id BETWEEN ? AND ? ORDER BY cell_id, job_id",
      spans_of(ids), [&](const db::Statement& row) -> Status {
        const std::int64_t cell = row.integer(0);
        if (!wanted.contain(cell)) return {};
        const std::int64_t job = row.integer(1);
        jobs_of_cells_.emplace_back(cell, job);
        jobs_.push_back(job);
        return {};
      }));
  std::sort(jobs_.begin(), jobs_.end());
  jobs_.erase(std::unique(jobs_.begin(), jobs_.end()), jobs_.end());
  return {};
}

Status JobReader::read_shapes() {
  AscendingIds wanted(jobs_);
  std::int64_t last = 0;  // most have the shape of the one before
  return read_spans(connection_,
                    "SELECT job_id, shape_id FROM jobs WHERE job_id BETWEEN ? AND ? ORDER BY job_id",
                    spans_of(jobs_), [&](const db::Statement& row) -> Status {
                      if (!wanted.contain(row.integer(0))) return {};
                      const std::int64_t shape = row.integer(1);
                      if (shape != last) shapes_.insert(shape);
                      last = shape;
                      return {};
                    });
}

Status JobReader::read_readings() {
  if (metrics_.empty()) return {};
  std::vector<std::int64_t> metrics;
  for (const auto& [id, metric] : metrics_) metrics.push_back(id);
  std::sort(metrics.begin(), metrics.end());
  const std::string sql = fmt::format(
      "SELECT r.job_id, r.metric_id, r.value, r.n, a.environment_id FROM results r "
      "CROSS JOIN attempts a ON a.job_id = r.job_id AND a.attempt = r.attempt "
      "WHERE r.job_id BETWEEN ? AND ? AND +r.metric_id IN ({}) ORDER BY r.job_id, r.metric_id",
      fmt::join(metrics, ","));
  return read_spans(connection_, sql, spans_of(jobs_), [&](const db::Statement& row) -> Status {
    Reading& reading = readings_.emplace_back();
    reading.job = row.integer(0);
    reading.metric = row.integer(1);
    if (!row.is_null(2)) reading.value = row.real(2);
    reading.n = row.integer(3);
    reading.environment = row.integer(4);
    return {};
  });
}

Result<const JobReader::Environment*> JobReader::environment_of(std::int64_t id) {
  const auto [place, is_new] = environments_.try_emplace(id);
  if (!is_new) return &place->second;
  GAUNTLET_TRY(
      db::Statement * statement,
      connection_.cached("SELECT revision, versions, device FROM environments WHERE environment_id = ?"));
  GAUNTLET_CHECK_OK(statement->bind_all(id));
  GAUNTLET_TRY(const bool row, statement->step());
  if (row) place->second = {kept(statement->text(0)), kept(statement->text(1)), kept(statement->text(2))};
  statement->reset();
  return &place->second;
}

}  // namespace gauntlet::results
