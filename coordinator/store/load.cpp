#include <algorithm>
#include <thread>

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

/// Jobs by growing id, and their shapes by first appearance.
struct JobPart {
  std::vector<engine::JobRow> jobs;
  std::vector<engine::JobShape> shapes;
};

/// The jobs first..last.
Status load_jobs(db::Connection& connection, std::int64_t first, std::int64_t last, JobPart& part) {
  part.jobs.reserve(static_cast<std::size_t>(std::max<std::int64_t>(0, last - first + 1)));
  ShapeReader shapes(connection);
  std::int64_t shape_id = -1;
  std::uint32_t shape = 0;
  // That nothing went wrong yet, which is what most rows say, is one column to read instead of four.
  GAUNTLET_TRY(db::Statement * read,
               connection.cached("SELECT job_id, shape_id, state, attempt, failures + lost_count > 0 OR "
                                 "blocked_by IS NOT NULL OR code IS NOT NULL, failures, lost_count, "
                                 "blocked_by, code FROM jobs WHERE job_id BETWEEN ? AND ? ORDER BY job_id"));
  GAUNTLET_CHECK_OK(read->bind_all(first, last));
  while (true) {
    GAUNTLET_TRY(const bool row, read->step());
    if (!row) return {};
    if (read->integer(1) != shape_id) {  // jobs come in long runs of one shape
      shape_id = read->integer(1);
      GAUNTLET_TRY(shape, shapes.index_of(shape_id, part.shapes));
    }
    engine::JobRow& job = part.jobs.emplace_back();
    job.id = id_at<JobTag>(*read, 0);
    job.shape = shape;
    job.state = static_cast<engine::JobStateTag>(read->integer(2));
    job.last_attempt = id_at<AttemptTag>(*read, 3);
    if (read->integer(4) == 0) continue;
    job.failures = small(read->integer(5));
    job.losses = small(read->integer(6));
    job.culprit = id_at<JobTag>(*read, 7);
    if (!read->is_null(8)) job.code = static_cast<ErrorCode>(read->integer(8));
  }
}

/// `later` holds the jobs that follow.
void append(JobPart later, engine::JobRows& rows) {
  std::vector<std::uint32_t> index_of;
  for (engine::JobShape& shape : later.shapes) {
    const auto known = std::find(rows.shapes.begin(), rows.shapes.end(), shape);
    index_of.push_back(static_cast<std::uint32_t>(known - rows.shapes.begin()));
    if (known == rows.shapes.end()) rows.shapes.push_back(std::move(shape));
  }
  for (engine::JobRow& job : later.jobs) job.shape = index_of[job.shape];
  rows.jobs.insert(rows.jobs.end(), later.jobs.begin(), later.jobs.end());
}

Status load_needs(db::Connection& connection, RestoredRows& rows) {
  return for_each(connection, "SELECT job_id, needs_job_id FROM needs ORDER BY job_id, needs_job_id",
                  [&](const db::Statement& row) -> Status {
                    rows.rows.needs.push_back({id_at<JobTag>(row, 0), id_at<JobTag>(row, 1)});
                    return {};
                  });
}

/// A sweep has, most often, all jobs from its first to its last: then only these are read.
Status load_members(db::Connection& connection, RestoredRows& rows) {
  GAUNTLET_TRY(const std::int64_t n_members, connection.integer("SELECT count(*) FROM sweep_jobs"));
  rows.rows.members.reserve(static_cast<std::size_t>(n_members));
  struct Range {
    SweepId sweep;
    std::uint64_t first, last;
  };
  std::vector<Range> ranges;
  std::uint64_t n_in_ranges = 0;
  GAUNTLET_CHECK_OK(for_each(
      connection,
      "SELECT sweep_id, (SELECT min(job_id) FROM sweep_jobs m WHERE m.sweep_id = "
      "s.sweep_id), (SELECT max(job_id) FROM sweep_jobs m WHERE m.sweep_id = "
      "s.sweep_id) FROM sweeps s ORDER BY sweep_id",
      [&](const db::Statement& row) -> Status {
        if (row.is_null(1)) return {};
        ranges.push_back({id_at<SweepTag>(row, 0), id_at<JobTag>(row, 1).value, id_at<JobTag>(row, 2).value});
        n_in_ranges += ranges.back().last - ranges.back().first + 1;
        return {};
      }));
  // No sweep has more jobs than its range has numbers, so equal sums say that none has fewer.
  if (std::cmp_equal(n_in_ranges, n_members)) {
    for (const Range& range : ranges) {
      for (std::uint64_t job = range.first; job <= range.last; ++job)
        rows.rows.members.push_back({range.sweep, JobId{job}});
    }
    return {};
  }
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
                  "json_each(CASE parts WHEN '' THEN '[]' ELSE parts END) p WHERE parts <> '') ORDER BY "
                  "worker_id",
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

struct WallTime {
  JobId job;
  double wall_s = 0;
};

Status load_wall_times(db::Connection& connection, std::vector<WallTime>& times) {
  return for_each(connection,
                  "SELECT job_id, wall_s FROM attempts WHERE code = 0 AND wall_s IS NOT NULL ORDER BY "
                  "job_id, attempt",
                  [&](const db::Statement& row) -> Status {
                    times.push_back({id_at<JobTag>(row, 0), row.real(1)});
                    return {};
                  });
}

/// Both by growing job.
void add_times(const std::vector<WallTime>& times, RestoredRows& rows) {
  std::array<engine::KindTime, spec::kJobKindCount> of_kind{};
  auto job = rows.rows.jobs.begin();
  for (const WallTime& time : times) {
    while (job != rows.rows.jobs.end() && job->id < time.job) ++job;
    if (job == rows.rows.jobs.end()) break;
    if (job->id != time.job) continue;
    const spec::JobKind kind = rows.rows.shapes[job->shape].kind;
    engine::KindTime& sum = of_kind[static_cast<std::size_t>(kind)];
    sum = {.kind = kind, .n = sum.n + 1, .total_s = sum.total_s + time.wall_s};
  }
  for (const engine::KindTime& sum : of_kind) {
    if (sum.n > 0) rows.times.push_back(sum);
  }
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

namespace {

/// Reads everything, the second half of the jobs and all attempts by `second` at the same time as the rest by
/// `first`; they may be one connection, which then reads one after the other.
Result<RestoredRows> load_with(db::Connection& first, db::Connection& second) {
  RestoredRows rows;
  GAUNTLET_TRY(const std::int64_t last_job, first.integer("SELECT max(job_id) FROM jobs"));
  const std::int64_t middle = last_job / 2;
  JobPart later;
  std::vector<WallTime> wall_times;
  const auto load_second = [&]() -> Status {
    GAUNTLET_CHECK_OK(load_jobs(second, middle + 1, last_job, later));
    return load_wall_times(second, wall_times);
  };
  const auto load_first = [&]() -> Status {
    JobPart earlier;
    earlier.jobs.reserve(static_cast<std::size_t>(last_job));
    GAUNTLET_CHECK_OK(load_jobs(first, 1, middle, earlier));
    rows.rows.jobs = std::move(earlier.jobs);
    rows.rows.shapes = std::move(earlier.shapes);
    GAUNTLET_CHECK_OK(load_sweeps(first, rows));
    GAUNTLET_CHECK_OK(load_needs(first, rows));
    GAUNTLET_CHECK_OK(load_members(first, rows));
    return load_leases(first, rows);
  };
  Status second_loaded;
  const bool in_parallel = &first != &second;
  std::thread helper;
  if (in_parallel) helper = std::thread([&] { second_loaded = load_second(); });
  const Status first_loaded = load_first();
  if (in_parallel) helper.join();
  GAUNTLET_CHECK_OK(first_loaded);
  if (!in_parallel) second_loaded = load_second();
  GAUNTLET_CHECK_OK(second_loaded);
  append(std::move(later), rows.rows);
  add_times(wall_times, rows);
  GAUNTLET_TRY(const std::int64_t lease,
               first.integer("SELECT value FROM counters WHERE name = 'last_lease'"));
  GAUNTLET_TRY(const std::int64_t worker,
               first.integer("SELECT value FROM counters WHERE name = 'last_worker'"));
  rows.last_lease = LeaseId{static_cast<std::uint64_t>(lease)};
  rows.last_worker = WorkerId{static_cast<std::uint64_t>(worker)};
  return rows;
}

/// Reads with little memory: every page is read once.
Result<db::Connection> open_reader(const std::string& path) {
  GAUNTLET_TRY(db::Connection reader, db::Connection::open_read_only(path));
  GAUNTLET_CHECK_OK(reader.execute("PRAGMA cache_size=-1024;"));
  return reader;
}

}  // namespace

Result<RestoredRows> load_all(db::Connection& connection) {
  // A database in memory has no second connection, and what is not committed is seen by its own alone.
  if (connection.path() == ":memory:" || connection.in_transaction())
    return load_with(connection, connection);
  Result<db::Connection> first = open_reader(connection.path());
  Result<db::Connection> second = open_reader(connection.path());
  if (!first || !second) return load_with(connection, connection);
  return load_with(*first, *second);
}

}  // namespace gauntlet::store
