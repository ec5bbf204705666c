#include <algorithm>

#include "coordinator/store/state.hpp"
#include "core/base/json.hpp"

namespace gauntlet::store {
namespace {

using engine::RestoredRows;

template <class Tag>
Id<Tag> id_at(const db::Statement& statement, int column) {
  return Id<Tag>{static_cast<std::uint64_t>(statement.integer(column))};
}

// Calls `take` with every row.
template <class Take>
Status for_each(db::Connection& connection, std::string_view sql, Take take) {
  GAUNTLET_TRY(db::Statement * statement, connection.cached(sql));
  while (true) {
    GAUNTLET_TRY(const bool row, statement->step());
    if (!row) return {};
    GAUNTLET_CHECK_OK(take(*statement));
  }
}

std::uint8_t small(std::int64_t count) {
  return static_cast<std::uint8_t>(std::clamp<std::int64_t>(count, 0, 255));
}

Status load_sweeps(db::Connection& connection, RestoredRows& rows) {
  return for_each(connection,
                  "SELECT sweep_id, name, priority, paused, reused, submitted_ms FROM sweeps ORDER BY 1",
                  [&](const db::Statement& row) -> Status {
                    rows.sweeps.push_back({.id = SweepId{static_cast<std::uint64_t>(row.integer(0))},
                                           .name = std::string(row.text(1)),
                                           .priority = static_cast<std::int32_t>(row.integer(2)),
                                           .paused = row.integer(3) != 0,
                                           .reused = static_cast<std::uint64_t>(row.integer(4)),
                                           .submitted_ms = row.integer(5)});
                    return {};
                  });
}

Status load_jobs(db::Connection& connection, RestoredRows& rows) {
  GAUNTLET_TRY(const std::int64_t n_jobs, connection.integer("SELECT max(job_id) FROM jobs"));
  rows.rows.jobs.reserve(static_cast<std::size_t>(n_jobs));
  ShapeReader shapes(connection);
  return for_each(connection,
                  "SELECT job_id, shape_id, state, code, failures, lost_count, attempt, blocked_by FROM jobs "
                  "ORDER BY job_id",
                  [&](const db::Statement& row) -> Status {
                    engine::JobRow job;
                    job.id = id_at<JobTag>(row, 0);
                    GAUNTLET_TRY(job.shape, shapes.index_of(row.integer(1), rows.rows.shapes));
                    job.state = static_cast<engine::JobStateTag>(row.integer(2));
                    if (!row.is_null(3)) job.code = static_cast<ErrorCode>(row.integer(3));
                    job.failures = small(row.integer(4));
                    job.losses = small(row.integer(5));
                    job.last_attempt = id_at<AttemptTag>(row, 6);
                    job.culprit = id_at<JobTag>(row, 7);
                    rows.rows.jobs.push_back(job);
                    return {};
                  });
}

Status load_edges(db::Connection& connection, RestoredRows& rows) {
  GAUNTLET_CHECK_OK(for_each(connection,
                             "SELECT job_id, needs_job_id FROM needs ORDER BY job_id, needs_job_id",
                             [&](const db::Statement& row) -> Status {
                               rows.rows.needs.push_back({id_at<JobTag>(row, 0), id_at<JobTag>(row, 1)});
                               return {};
                             }));
  return for_each(connection, "SELECT sweep_id, job_id FROM sweep_jobs ORDER BY sweep_id, job_id",
                  [&](const db::Statement& row) -> Status {
                    rows.rows.members.push_back({id_at<SweepTag>(row, 0), id_at<JobTag>(row, 1)});
                    return {};
                  });
}

/// What apply writes for a gang.
Result<std::vector<engine::GangPart>> parts_from(const std::string& text) {
  std::vector<engine::GangPart> parts;
  if (text.empty()) return parts;
  GAUNTLET_TRY(const Json list, parse_json(text, "the parts of a lease"));
  for (const Json& part : list) {
    const bool is_part =
        part.is_array() && part.size() == 3 &&
        std::all_of(part.begin(), part.end(), [](const Json& n) { return n.is_number_unsigned(); });
    if (!is_part) return fail(ErrorCode::kCorrupt, "the parts of a lease are {}", text);
    parts.push_back(
        {WorkerId{part[0].get<std::uint64_t>()}, part[1].get<std::uint32_t>(), part[2].get<std::uint64_t>()});
  }
  return parts;
}

Status load_leases(db::Connection& connection, RestoredRows& rows) {
  GAUNTLET_CHECK_OK(
      for_each(connection,
               "SELECT job_id, lease_id, attempt, worker_id, gpus, started_ms, parts FROM leases "
               "ORDER BY lease_id",
               [&](const db::Statement& row) -> Status {
                 GAUNTLET_TRY(auto parts, parts_from(std::string(row.text(6))));
                 rows.leases.push_back({.job = id_at<JobTag>(row, 0),
                                        .lease = id_at<LeaseTag>(row, 1),
                                        .attempt = id_at<AttemptTag>(row, 2),
                                        .worker = id_at<WorkerTag>(row, 3),
                                        .gpus = static_cast<std::uint64_t>(row.integer(4)),
                                        .started_ms = row.integer(5),
                                        .parts = std::move(parts)});
                 return {};
               }));
  return for_each(connection,
                  "SELECT worker_id, agent_id, name, cpus, memory_mb, gpus FROM workers WHERE worker_id IN "
                  "(SELECT worker_id FROM leases UNION ALL SELECT json_extract(p.value, '$[0]') FROM leases, "
                  "json_each(CASE parts WHEN '' THEN '[]' ELSE parts END) p) ORDER BY worker_id",
                  [&](const db::Statement& row) -> Status {
                    rows.workers.push_back({.id = id_at<WorkerTag>(row, 0),
                                            .agent_id = std::string(row.text(1)),
                                            .name = std::string(row.text(2)),
                                            .cpus = row.integer(3),
                                            .memory_mb = row.integer(4),
                                            .gpus = row.integer(5)});
                    return {};
                  });
}

Status load_times(db::Connection& connection, RestoredRows& rows) {
  return for_each(
      connection,
      "SELECT sh.kind, count(*), sum(a.wall_s) FROM attempts a JOIN jobs j ON j.job_id = a.job_id JOIN "
      "job_shapes sh ON sh.shape_id = j.shape_id WHERE a.code = 0 AND a.wall_s IS NOT NULL GROUP BY sh.kind "
      "ORDER BY sh.kind",
      [&](const db::Statement& row) -> Status {
        rows.times.push_back({.kind = static_cast<spec::JobKind>(row.integer(0)),
                              .n = static_cast<std::uint64_t>(row.integer(1)),
                              .total_s = row.real(2)});
        return {};
      });
}

/// Amounts and the column `more` as one object.
Json joined(const Json& more, const spec::Resources& amounts) {
  Json whole = spec::to_json(amounts);
  whole.update(more);
  return whole;
}

}  // namespace

Result<std::uint32_t> ShapeReader::index_of(std::int64_t shape_id, std::vector<engine::JobShape>& shapes) {
  const auto known = known_.find(shape_id);
  if (known != known_.end()) return known->second;
  GAUNTLET_TRY(db::Statement * read,
               connection_.cached("SELECT kind, entry, version, cpus, gpus, ranks, memory_mb, "
                                  "time_s, more FROM job_shapes WHERE shape_id = ?"));
  GAUNTLET_CHECK_OK(read->bind_all(shape_id));
  GAUNTLET_TRY(const bool row, read->step());
  if (!row)
    return fail(ErrorCode::kCorrupt, "database {}: job shape {} is missing", connection_.path(), shape_id);
  engine::JobShape shape;
  shape.kind = static_cast<spec::JobKind>(read->integer(0));
  shape.entry = read->text(1);
  shape.version = read->integer(2);
  shape.resources = {.cpus = read->integer(3),
                     .gpus = read->integer(4),
                     .ranks = read->integer(5),
                     .memory_mb = read->integer(6),
                     .time_s = read->integer(7)};
  const std::string more(read->text(8));
  read->reset();
  if (!more.empty()) {
    GAUNTLET_TRY(const Json parsed, parse_json(more, fmt::format("job shape {}", shape_id)));
    GAUNTLET_TRY(spec::Resources others, spec::resources_from_json(joined(parsed, shape.resources)));
    shape.resources.labels = std::move(others.labels);
    shape.resources.or_else = std::move(others.or_else);
  }
  const auto index = static_cast<std::uint32_t>(shapes.size());
  shapes.push_back(std::move(shape));
  known_.emplace(shape_id, index);
  return index;
}

Result<RestoredRows> load_all(db::Connection& connection) {
  RestoredRows rows;
  GAUNTLET_CHECK_OK(load_sweeps(connection, rows));
  GAUNTLET_CHECK_OK(load_jobs(connection, rows));
  GAUNTLET_CHECK_OK(load_edges(connection, rows));
  GAUNTLET_CHECK_OK(load_leases(connection, rows));
  GAUNTLET_CHECK_OK(load_times(connection, rows));
  GAUNTLET_TRY(const std::int64_t lease,
               connection.integer("SELECT value FROM counters WHERE name = 'last_lease'"));
  GAUNTLET_TRY(const std::int64_t worker,
               connection.integer("SELECT value FROM counters WHERE name = 'last_worker'"));
  rows.last_lease = LeaseId{static_cast<std::uint64_t>(lease)};
  rows.last_worker = WorkerId{static_cast<std::uint64_t>(worker)};
  return rows;
}

}  // namespace gauntlet::store
