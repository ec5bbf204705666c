#include "coordinator/store/usage.hpp"

#include <algorithm>

#include "coordinator/engine/transitions.hpp"
#include "core/db/connection.hpp"
#include "core/db/snapshot.hpp"
#include "core/db/transaction.hpp"

namespace gauntlet::store {
namespace {

using engine::JobStateTag;

constexpr std::uint32_t kNobody = UINT32_MAX;

/// The job graph in arrays; jobs by their place in `keys`, needs before what needs them.
class Graph {
 public:
  Status read(db::Connection& connection) {
    GAUNTLET_CHECK_OK(read_jobs(connection));
    GAUNTLET_CHECK_OK(read_needs(connection));
    // Cells, and sweeps that consist of jobs only.
    GAUNTLET_CHECK_OK(mark_wanted(connection, "SELECT DISTINCT job_id FROM cell_jobs"));
    return mark_wanted(connection,
                       "SELECT DISTINCT job_id FROM sweep_jobs WHERE sweep_id NOT IN (SELECT sweep_id FROM "
                       "cells)");
  }

  void judge() {
    for (std::uint32_t at = 0; at < jobs_.size(); ++at) {
      const JobStateTag state = states_[at];
      unfinished_[at] = state == JobStateTag::kWaiting || state == JobStateTag::kQueued ||
                        state == JobStateTag::kLeased || (wanted_[at] && state != JobStateTag::kDone);
      wanted_[at] = wanted_[at] || unfinished_[at];
    }
    // From what needs to what is needed: every need is older than its job.
    for (auto edge = needs_.rbegin(); edge != needs_.rend(); ++edge) {
      if (!wanted_[edge->first]) continue;
      wanted_[edge->second] = true;
      if (unfinished_[edge->first]) unfinished_[edge->second] = true;
      has_dependant_[edge->second] = true;
    }
    for (std::uint32_t at = 0; at < jobs_.size(); ++at) {
      jobs_[at].need = !wanted_[at]         ? Need::kUnwanted
                       : unfinished_[at]    ? Need::kUnfinished
                       : has_dependant_[at] ? Need::kMadeAgain
                                            : Need::kFinal;
    }
  }

  std::unordered_map<JobKey, JobUse> by_key() && {
    std::unordered_map<JobKey, JobUse> uses;
    uses.reserve(jobs_.size());
    for (std::uint32_t at = 0; at < jobs_.size(); ++at) uses.emplace(keys_[at], jobs_[at]);
    return uses;
  }

 private:
  Status read_jobs(db::Connection& connection) {
    GAUNTLET_TRY(
        db::Statement row,
        connection.prepare("SELECT j.job_id, j.key, j.state, j.attempt, h.kind, a.ended_ms, a.wall_s "
                           "FROM jobs j JOIN job_shapes h ON h.shape_id = j.shape_id LEFT JOIN attempts "
                           "a ON a.job_id = j.job_id AND a.attempt = j.attempt ORDER BY j.job_id"));
    while (true) {
      GAUNTLET_TRY(const bool more, row.step());
      if (!more) break;
      const auto id = static_cast<std::uint64_t>(row.integer(0));
      if (id >= place_.size()) place_.resize(id + 1, kNobody);
      place_[id] = static_cast<std::uint32_t>(jobs_.size());
      JobUse use;
      use.job = JobId{id};
      use.kind = static_cast<spec::JobKind>(row.integer(4));
      states_.push_back(static_cast<JobStateTag>(row.integer(2)));
      use.done = states_.back() == JobStateTag::kDone;
      use.leased = states_.back() == JobStateTag::kLeased;
      use.attempt = static_cast<std::uint64_t>(row.integer(3));
      use.ended_ms = row.integer(5);
      use.wall_s = row.real(6);
      jobs_.push_back(use);
      keys_.push_back(row.key(1));
    }
    wanted_.resize(jobs_.size());
    unfinished_.resize(jobs_.size());
    has_dependant_.resize(jobs_.size());
    return {};
  }

  Status read_needs(db::Connection& connection) {
    GAUNTLET_TRY(db::Statement row,
                 connection.prepare("SELECT job_id, needs_job_id FROM needs ORDER BY job_id, needs_job_id"));
    while (true) {
      GAUNTLET_TRY(const bool more, row.step());
      if (!more) return {};
      const std::uint32_t owner = place_of(row.integer(0));
      const std::uint32_t need = place_of(row.integer(1));
      if (owner == kNobody || need == kNobody || need >= owner) {
        return fail(ErrorCode::kCorrupt,
                    "database {}: job {} needs job {}, which is not an older one; `gauntlet "
                    "verify` says more",
                    connection.path(), row.integer(0), row.integer(1));
      }
      needs_.emplace_back(owner, need);
    }
  }

  Status mark_wanted(db::Connection& connection, std::string_view sql) {
    GAUNTLET_TRY(db::Statement row, connection.prepare(sql));
    while (true) {
      GAUNTLET_TRY(const bool more, row.step());
      if (!more) return {};
      const std::uint32_t at = place_of(row.integer(0));
      if (at != kNobody) wanted_[at] = true;
    }
  }

  [[nodiscard]] std::uint32_t place_of(std::int64_t job_id) const {
    const auto id = static_cast<std::uint64_t>(job_id);
    return id < place_.size() ? place_[id] : kNobody;
  }

  std::vector<std::uint32_t> place_;  ///< by job id
  std::vector<JobKey> keys_;
  std::vector<JobUse> jobs_;
  std::vector<JobStateTag> states_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> needs_;  ///< (job, what it needs), by growing job
  std::vector<bool> wanted_;
  std::vector<bool> unfinished_;
  std::vector<bool> has_dependant_;
};

// What may go of each table, given the time (?1).
constexpr std::string_view kOldAttempts =
    "FROM attempts WHERE ended_ms < ?1 AND attempt < (SELECT j.attempt FROM jobs j WHERE j.job_id = "
    "attempts.job_id) AND NOT EXISTS (SELECT 1 FROM results r WHERE r.job_id = attempts.job_id AND r.attempt "
    "= "
    "attempts.attempt) AND NOT EXISTS (SELECT 1 FROM curves c WHERE c.job_id = attempts.job_id AND c.attempt "
    "= "
    "attempts.attempt)";
// What was freed stays known, so that nobody misses it.
constexpr std::string_view kOldEvents = "FROM events WHERE at_ms < ?1 AND kind <> 'freed'";
constexpr std::string_view kOldWorkers =
    "FROM workers WHERE left_ms < ?1 AND worker_id NOT IN (SELECT worker_id FROM attempts) AND worker_id NOT "
    "IN "
    "(SELECT worker_id FROM leases UNION ALL SELECT json_extract(p.value, '$[0]') FROM leases, "
    "json_each(CASE parts WHEN '' THEN '[]' ELSE parts END) p) AND worker_id < (SELECT max(worker_id) FROM "
    "workers)";
constexpr std::string_view kOldEnvironments =
    "FROM environments WHERE ?1 > 0 AND environment_id NOT IN (SELECT environment_id FROM attempts WHERE "
    "environment_id IS NOT NULL)";

Result<std::int64_t> count(db::Connection& connection, std::string_view what, std::int64_t before_ms) {
  GAUNTLET_TRY(db::Statement row, connection.prepare(fmt::format("SELECT count(*) {}", what)));
  GAUNTLET_CHECK_OK(row.bind_all(before_ms));
  GAUNTLET_CHECK_OK(row.step());
  return row.integer(0);
}

Result<std::int64_t> remove(db::Connection& connection, std::string_view what, std::int64_t before_ms) {
  GAUNTLET_TRY(db::Statement row, connection.prepare(fmt::format("DELETE {}", what)));
  GAUNTLET_CHECK_OK(row.run_with(before_ms));
  return connection.changes();
}

}  // namespace

Result<std::unordered_map<JobKey, JobUse>> job_uses(db::Connection& connection) {
  GAUNTLET_TRY(const db::Snapshot snapshot, db::Snapshot::open(connection));
  Graph graph;
  GAUNTLET_CHECK_OK(graph.read(connection));
  graph.judge();
  return std::move(graph).by_key();
}

Status note_freed(db::Connection& connection, std::span<const JobId> artifacts, std::span<const LogRow> logs,
                  std::int64_t at_ms) {
  GAUNTLET_TRY(db::Transaction transaction, db::Transaction::begin(connection));
  GAUNTLET_TRY(db::Statement event,
               connection.prepare("INSERT INTO events (at_ms, kind, job_id, detail) VALUES "
                                  "(?, 'freed', ?, '')"));
  for (const JobId job : artifacts) GAUNTLET_CHECK_OK(event.run_with(at_ms, job));
  GAUNTLET_TRY(db::Statement log,
               connection.prepare("UPDATE attempts SET log = NULL WHERE job_id = ? AND attempt = ?"));
  for (const LogRow& row : logs) GAUNTLET_CHECK_OK(log.run_with(row.job, row.attempt));
  return transaction.commit();
}

Result<History> count_history(db::Connection& connection, std::int64_t before_ms) {
  GAUNTLET_TRY(const db::Snapshot snapshot, db::Snapshot::open(connection));
  History history;
  GAUNTLET_TRY(history.attempts, count(connection, kOldAttempts, before_ms));
  GAUNTLET_TRY(history.events, count(connection, kOldEvents, before_ms));
  GAUNTLET_TRY(history.workers, count(connection, kOldWorkers, before_ms));
  GAUNTLET_TRY(history.environments, count(connection, kOldEnvironments, before_ms));
  return history;
}

Result<History> remove_history(db::Connection& connection, std::int64_t before_ms) {
  GAUNTLET_TRY(db::Transaction transaction, db::Transaction::begin(connection));
  History history;  // attempts first: they name workers and environments
  GAUNTLET_TRY(history.attempts, remove(connection, kOldAttempts, before_ms));
  GAUNTLET_TRY(history.events, remove(connection, kOldEvents, before_ms));
  GAUNTLET_TRY(history.workers, remove(connection, kOldWorkers, before_ms));
  GAUNTLET_TRY(history.environments, remove(connection, kOldEnvironments, before_ms));
  GAUNTLET_CHECK_OK(transaction.commit());
  return history;
}

}  // namespace gauntlet::store
