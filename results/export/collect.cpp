#include <fmt/format.h>

#include <cstring>
#include <set>

#include "core/base/text.hpp"
#include "core/db/snapshot.hpp"
#include "results/export/bundle.hpp"
#include "results/store/selection.hpp"

namespace gauntlet::results {
namespace {

constexpr std::int64_t kDone = 3;

std::vector<float> floats_of(std::span<const std::byte> bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

std::string hex_or_empty(const db::Statement& statement, int column) {
  return statement.is_null(column) ? "" : statement.key(column).hex();
}

class Collector {
 public:
  explicit Collector(db::Connection& connection) : connection_(connection) {}

  Status add_sweep(const std::string& name) {
    GAUNTLET_TRY(db::Statement * find,
                 connection_.cached(
                     "SELECT s.name, s.priority, r.spec_text, r.spec_path, r.code_revision, r.metrics FROM "
                     "sweeps s JOIN spec_revisions r ON r.sweep_id = s.sweep_id WHERE s.name = ? ORDER BY "
                     "r.revision DESC LIMIT 1"));
    GAUNTLET_CHECK_OK(find->bind_all(name));
    GAUNTLET_TRY(const bool row, find->step());
    if (!row) return fail(ErrorCode::kNotFound, "there is no sweep '{}'", name);
    bundle_.sweeps.push_back({.name = std::string(find->text(0)),
                              .priority = find->integer(1),
                              .spec_text = std::string(find->text(2)),
                              .spec_path = std::string(find->text(3)),
                              .code_revision = std::string(find->text(4)),
                              .metrics = std::string(find->text(5))});
    find->reset();
    return {};
  }

  Status add_cell(const CellRow& row) {
    BundleCell cell{.sweep = row.sweep, .cell = row.cell, .metrics = {}, .jobs = {}};
    if (row.metrics) cell.metrics.assign(row.metrics->begin(), row.metrics->end());
    GAUNTLET_TRY(db::Statement * jobs,
                 connection_.cached("SELECT cj.job_id, ro.name, j.key FROM cell_jobs cj JOIN roles ro ON "
                                    "ro.role_id = cj.role_id JOIN jobs j ON j.job_id = cj.job_id WHERE "
                                    "cj.cell_id = ? ORDER BY cj.job_id"));
    GAUNTLET_CHECK_OK(jobs->bind_all(row.cell_id));
    while (true) {
      GAUNTLET_TRY(const bool any, jobs->step());
      if (!any) break;
      cell.jobs.emplace_back(std::string(jobs->text(1)), jobs->key(2));
      wanted_.insert(jobs->integer(0));
    }
    bundle_.cells.push_back(std::move(cell));
    return {};
  }

  /// Jobs of the cells, and those they need; a need has a smaller id than who needs it.
  Result<Bundle> finish() {
    std::set<std::int64_t> open = wanted_;
    while (!open.empty()) {
      const std::int64_t job = *open.begin();
      open.erase(open.begin());
      GAUNTLET_TRY(db::Statement * needs,
                   connection_.cached("SELECT needs_job_id FROM needs WHERE job_id = ?"));
      GAUNTLET_CHECK_OK(needs->bind_all(job));
      while (true) {
        GAUNTLET_TRY(const bool row, needs->step());
        if (!row) break;
        if (wanted_.insert(needs->integer(0)).second) open.insert(needs->integer(0));
      }
    }
    for (const std::int64_t job : wanted_) GAUNTLET_CHECK_OK(add_job(job));
    return std::move(bundle_);
  }

 private:
  Status add_job(std::int64_t id) {
    GAUNTLET_TRY(
        db::Statement * read,
        connection_.cached(
            "SELECT j.key, sp.canonical, sp.title, j.state, st.name, j.attempt, sh.cpus, sh.gpus, "
            "sh.ranks, sh.memory_mb, sh.time_s, sh.more FROM jobs j JOIN job_specs sp ON sp.job_id = "
            "j.job_id JOIN job_states st ON st.state = j.state JOIN job_shapes sh ON sh.shape_id = "
            "j.shape_id WHERE j.job_id = ?"));
    GAUNTLET_CHECK_OK(read->bind_all(id));
    GAUNTLET_TRY(const bool row, read->step());
    if (!row) return fail(ErrorCode::kCorrupt, "{}: job {} is missing", connection_.path(), id);
    BundleJob job;
    job.key = read->key(0);
    GAUNTLET_TRY(job.form, parse_json(read->text(1), fmt::format("the text of job {}", job.key.brief())));
    job.title = read->text(2);
    job.state = read->text(4);
    if (!read->text(11).empty()) {
      GAUNTLET_TRY(job.resources, parse_json(read->text(11), "job_shapes.more"));
    }
    const char* names[] = {"cpus", "gpus", "ranks", "memory_mb", "time_s"};
    for (int at = 0; at < 5; ++at) job.resources[names[at]] = read->integer(6 + at);
    const bool done = read->integer(3) == kDone;
    const std::int64_t attempt = read->integer(5);
    read->reset();
    GAUNTLET_CHECK_OK(add_needs(id, job));
    if (done) {
      GAUNTLET_CHECK_OK(add_attempt(id, attempt, job));
      GAUNTLET_CHECK_OK(add_rows(id, job));
      GAUNTLET_CHECK_OK(add_curves(id, job));
    }
    bundle_.jobs.push_back(std::move(job));
    return {};
  }

  Status add_needs(std::int64_t id, BundleJob& job) {
    GAUNTLET_TRY(
        db::Statement * needs,
        connection_.cached("SELECT n.key FROM needs e JOIN jobs n ON n.job_id = e.needs_job_id WHERE "
                           "e.job_id = ? ORDER BY e.needs_job_id"));
    GAUNTLET_CHECK_OK(needs->bind_all(id));
    while (true) {
      GAUNTLET_TRY(const bool row, needs->step());
      if (!row) return {};
      job.needs.push_back(needs->key(0));
    }
  }

  Status add_attempt(std::int64_t id, std::int64_t attempt, BundleJob& job) {
    GAUNTLET_TRY(
        db::Statement * read,
        connection_.cached(
            "SELECT w.name, a.started_ms, a.ended_ms, a.wall_s, a.manifest, e.document FROM attempts "
            "a JOIN workers w ON w.worker_id = a.worker_id LEFT JOIN environments e ON "
            "e.environment_id = a.environment_id WHERE a.job_id = ? AND a.attempt = ?"));
    GAUNTLET_CHECK_OK(read->bind_all(id, attempt));
    GAUNTLET_TRY(const bool row, read->step());
    if (row) {
      job.attempt = {.worker = std::string(read->text(0)),
                     .started_ms = read->integer(1),
                     .ended_ms = read->integer(2),
                     .wall_s = read->real(3),
                     .manifest = hex_or_empty(*read, 4),
                     .environment = std::string(read->text(5))};
    }
    read->reset();
    return {};
  }

  Status add_rows(std::int64_t id, BundleJob& job) {
    GAUNTLET_TRY(
        db::Statement * read,
        connection_.cached(
            "SELECT m.name, m.unit, m.higher_is_better, r.value, r.n, q.per_query FROM results r JOIN "
            "metrics m ON m.metric_id = r.metric_id LEFT JOIN result_queries q ON q.job_id = r.job_id "
            "AND q.metric_id = r.metric_id WHERE r.job_id = ? ORDER BY m.name, m.unit"));
    GAUNTLET_CHECK_OK(read->bind_all(id));
    while (true) {
      GAUNTLET_TRY(const bool row, read->step());
      if (!row) return {};
      job.rows.push_back(
          {.metric = std::string(read->text(0)),
           .value = read->is_null(3) ? std::numeric_limits<double>::quiet_NaN() : read->real(3),
           .unit = std::string(read->text(1)),
           .higher_is_better = read->integer(2) != 0,
           .n = read->integer(4),
           .per_query = floats_of(read->blob(5))});
    }
  }

  Status add_curves(std::int64_t id, BundleJob& job) {
    GAUNTLET_TRY(
        db::Statement * read,
        connection_.cached("SELECT name, x_label, y_label, x, y FROM curves WHERE job_id = ? ORDER BY name"));
    GAUNTLET_CHECK_OK(read->bind_all(id));
    while (true) {
      GAUNTLET_TRY(const bool row, read->step());
      if (!row) return {};
      job.curves.push_back({.name = std::string(read->text(0)),
                            .x_label = std::string(read->text(1)),
                            .y_label = std::string(read->text(2)),
                            .x = floats_of(read->blob(3)),
                            .y = floats_of(read->blob(4))});
    }
  }

  db::Connection& connection_;
  Bundle bundle_;
  std::set<std::int64_t> wanted_;
};

}  // namespace

Result<Bundle> collect(db::Connection& connection, const BundleSelection& selection) {
  GAUNTLET_TRY(const db::Snapshot snapshot, db::Snapshot::open(connection));
  GAUNTLET_TRY(const std::vector<std::string> known, sweep_names(connection));
  for (const std::string& sweep : selection.sweeps) {
    if (std::find(known.begin(), known.end(), sweep) == known.end())
      return fail(ErrorCode::kNotFound, "{}", unknown_name_message("sweep", sweep, known));
  }
  CellFilter filter;
  if (!selection.sweeps.empty()) filter["sweep"] = selection.sweeps;
  std::optional<std::set<std::int64_t>> wanted;  // nothing: all
  if (!selection.where.empty()) {
    GAUNTLET_TRY(wanted, cells_where(connection, selection.where));
  }
  GAUNTLET_TRY(const CellSelection cells, select_cells(connection, filter, {}));
  Collector collector(connection);
  std::set<std::string> sweeps;
  for (const CellRow& cell : cells.cells) {
    if (wanted && !wanted->contains(cell.cell_id)) continue;
    if (sweeps.insert(cell.sweep).second) GAUNTLET_CHECK_OK(collector.add_sweep(cell.sweep));
    GAUNTLET_CHECK_OK(collector.add_cell(cell));
  }
  if (sweeps.empty()) return fail(ErrorCode::kNotFound, "no cell of {} is selected", connection.path());
  return collector.finish();
}

}  // namespace gauntlet::results
