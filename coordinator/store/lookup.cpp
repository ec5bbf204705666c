#include "coordinator/store/lookup.hpp"

#include <algorithm>

#include "coordinator/store/state.hpp"

namespace gauntlet::store {
namespace {

constexpr std::size_t kMinPrefix = 4;
constexpr std::size_t kMaxNamed = 5;

AttemptRow attempt_at(const db::Statement& row) {
  AttemptRow attempt;
  attempt.attempt = AttemptNo{static_cast<std::uint64_t>(row.integer(0))};
  attempt.worker = WorkerId{static_cast<std::uint64_t>(row.integer(1))};
  attempt.worker_name = row.text(2);
  attempt.started_ms = row.integer(3);
  attempt.ended_ms = row.integer(4);
  attempt.outcome = row.is_null(4) ? std::string_view("running") : row.text(5);
  attempt.message = row.text(6);
  attempt.log = row.text(7);
  attempt.wall_s = row.real(8);
  return attempt;
}

}  // namespace

Result<JobDetail> find_one_job(db::Connection& connection, const std::string& key_prefix) {
  if (key_prefix.size() < kMinPrefix) {
    return fail(ErrorCode::kInvalid, "'{}' is too short for a key; at least {} digits are needed", key_prefix,
                kMinPrefix);
  }
  Selection selection;
  selection.key_prefix = key_prefix;
  GAUNTLET_TRY(std::vector<JobId> jobs, select_jobs(connection, selection));
  if (jobs.empty()) return fail(ErrorCode::kNotFound, "no job has a key that starts with {}", key_prefix);
  const std::size_t n_jobs = jobs.size();
  jobs.resize(std::min(n_jobs, kMaxNamed));
  GAUNTLET_TRY(std::vector<JobDetail> details, job_details(connection, jobs));
  if (n_jobs == 1 && !details.empty()) return std::move(details.front());
  std::string names;
  for (const JobDetail& detail : details) {
    names +=
        fmt::format("{}{} ({})", names.empty() ? "" : ", ", detail.title, detail.key.hex().substr(0, 16));
  }
  return fail(ErrorCode::kInvalid, "{} jobs have a key that starts with {}, among them {}; give more digits",
              n_jobs, key_prefix, names);
}

Result<JobAttempts> job_attempts(db::Connection& connection, const std::string& key_prefix) {
  JobAttempts found;
  GAUNTLET_TRY(found.job, find_one_job(connection, key_prefix));
  GAUNTLET_TRY(
      db::Statement * read,
      connection.cached("SELECT a.attempt, a.worker_id, w.name, a.started_ms, a.ended_ms, o.name, "
                        "a.message, a.log, a.wall_s FROM (SELECT attempt, worker_id, started_ms, ended_ms, "
                        "code, message, log, wall_s FROM attempts WHERE job_id = ?1 UNION ALL SELECT "
                        "attempt, worker_id, started_ms, NULL, NULL, NULL, NULL, NULL FROM leases WHERE "
                        "job_id = ?1) a JOIN workers w ON w.worker_id = a.worker_id LEFT JOIN outcomes o "
                        "ON o.code = a.code ORDER BY a.attempt"));
  GAUNTLET_CHECK_OK(read->bind_all(found.job.job));
  while (true) {
    GAUNTLET_TRY(const bool row, read->step());
    if (!row) return found;
    found.attempts.push_back(attempt_at(*read));
  }
}

Result<AttemptRow> choose_attempt(const JobAttempts& found, std::uint64_t number) {
  if (found.attempts.empty()) {
    return fail(ErrorCode::kNotFound, "no attempt of {} ({}) has begun; it is {}", found.job.title,
                found.job.key.brief(), engine::name_of(found.job.state));
  }
  if (number == 0) return found.attempts.back();
  for (const AttemptRow& row : found.attempts) {
    if (row.attempt.value == number) return row;
  }
  return fail(ErrorCode::kNotFound, "{} ({}) has no attempt {}; the last one is {}", found.job.title,
              found.job.key.brief(), number, found.attempts.back().attempt.value);
}

}  // namespace gauntlet::store
