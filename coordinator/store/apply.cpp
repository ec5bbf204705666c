#include <algorithm>
#include <cmath>
#include <variant>

#include "coordinator/store/state.hpp"
#include "core/base/json.hpp"

namespace gauntlet::store {
namespace {

using engine::JobStateTag;

// The number of a code in table outcomes; a number that this program does not know says "internal".
int outcome_number(ErrorCode code) {
  return static_cast<int>(name_of(code) == "unknown" ? ErrorCode::kInternal : code);
}

std::string text_of(const std::vector<engine::GangPart>& parts) {
  if (parts.empty()) return "";
  Json text = Json::array();
  for (const engine::GangPart& part : parts) text.push_back({part.worker.value, part.ranks, part.gpus});
  return text.dump();
}

class Applier {
 public:
  explicit Applier(StoreState& state)
      : state_(state), connection_(state.connection), shape_reader_(connection_) {}

  Status apply(const engine::Transition& transition) {
    at_ms_ = transition.at_ms;
    return std::visit([&](const auto& change) { return on(change); }, transition.change);
  }

  /// What is written once for all of them.
  Status finish() { return last_lease_ > 0 ? raise_counter("last_lease", last_lease_) : Status{}; }

  std::vector<engine::JobPayload> payloads;

 private:
  Status on(const engine::JobQueued& change) { return set_state(change.job, JobStateTag::kQueued); }
  Status on(const engine::JobWaiting& change) { return set_state(change.job, JobStateTag::kWaiting); }

  Status on(const engine::JobBlocked& change) {
    GAUNTLET_TRY(db::Statement * update,
                 connection_.cached("UPDATE jobs SET state = 5, blocked_by = ?, code = NULL, "
                                    "changed_ms = ? WHERE job_id = ?"));
    return update->run_with(change.culprit, at_ms_, change.job);
  }

  Status on(const engine::JobFailed& change) {
    GAUNTLET_TRY(db::Statement * update,
                 connection_.cached("UPDATE jobs SET state = 4, blocked_by = NULL, code = ?, "
                                    "changed_ms = ? WHERE job_id = ?"));
    return update->run_with(outcome_number(change.code), at_ms_, change.job);
  }

  Status on(const engine::JobCancelled& change) {
    GAUNTLET_TRY(db::Statement * update,
                 connection_.cached("UPDATE jobs SET state = 6, blocked_by = NULL, code = NULL, "
                                    "message = ?, changed_ms = ? WHERE job_id = ?"));
    GAUNTLET_CHECK_OK(update->run_with(change.reason, at_ms_, change.job));
    return add_event("cancelled", SweepId{}, change.job, change.reason);
  }

  Status on(const engine::JobRetried& change) {
    GAUNTLET_TRY(db::Statement * update,
                 connection_.cached("UPDATE jobs SET failures = 0, lost_count = 0, code = NULL, "
                                    "message = NULL, blocked_by = NULL, changed_ms = ? "
                                    "WHERE job_id = ?"));
    GAUNTLET_CHECK_OK(update->run_with(at_ms_, change.job));
    return add_event("retried", SweepId{}, change.job, "");
  }

  Status on(const engine::JobReshaped& change) {
    GAUNTLET_TRY(db::Statement * update, connection_.cached("UPDATE jobs SET shape_id = ? WHERE job_id = ?"));
    return update->run_with(change.stored_shape, change.job);
  }

  Status on(const engine::JobLeased& change) {
    GAUNTLET_CHECK_OK(add_payload(change.job));  // while its row tells how long it has waited
    GAUNTLET_TRY(db::Statement * job,
                 connection_.cached("UPDATE jobs SET state = 2, attempt = ?, blocked_by = NULL, "
                                    "changed_ms = ? WHERE job_id = ?"));
    GAUNTLET_CHECK_OK(job->run_with(change.attempt, at_ms_, change.job));
    GAUNTLET_TRY(db::Statement * lease,
                 connection_.cached("INSERT INTO leases (job_id, lease_id, attempt, worker_id, "
                                    "gpus, started_ms, parts) VALUES (?, ?, ?, ?, ?, ?, ?)"));
    GAUNTLET_CHECK_OK(lease->run_with(change.job, change.lease, change.attempt, change.worker, change.gpus,
                                      at_ms_, text_of(change.parts)));
    last_lease_ = std::max(last_lease_, change.lease.value);
    return {};
  }

  Status on(const engine::AttemptDone& change) {
    GAUNTLET_CHECK_OK(end_attempt(change.job, change.lease, change.attempt, 0, change.outcome));
    GAUNTLET_TRY(db::Statement * job,
                 connection_.cached("UPDATE jobs SET state = 3, code = NULL, message = NULL, "
                                    "blocked_by = NULL, changed_ms = ? WHERE job_id = ?"));
    GAUNTLET_CHECK_OK(job->run_with(at_ms_, change.job));
    if (change.attempt.value > 1) GAUNTLET_CHECK_OK(state_.rows.remove(change.job));
    return state_.rows.insert(change.job, change.attempt, change.outcome.rows, change.outcome.curves);
  }

  Status on(const engine::AttemptFailed& change) {
    GAUNTLET_CHECK_OK(
        end_attempt(change.job, change.lease, change.attempt, outcome_number(change.code), change.outcome));
    GAUNTLET_TRY(db::Statement * job,
                 connection_.cached("UPDATE jobs SET failures = ?, lost_count = ?, message = ?, "
                                    "changed_ms = ? WHERE job_id = ?"));
    return job->run_with(change.failures, change.losses, change.outcome.message, at_ms_, change.job);
  }

  Status on(const engine::WorkerJoined& change) {
    GAUNTLET_TRY(db::Statement * insert,
                 connection_.cached(
                     "INSERT INTO workers (worker_id, agent_id, name, cpus, memory_mb, gpus, joined_ms) "
                     "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (worker_id) DO UPDATE SET name = "
                     "excluded.name, cpus = excluded.cpus, memory_mb = excluded.memory_mb, gpus = "
                     "excluded.gpus, left_ms = NULL, reason = NULL"));
    GAUNTLET_CHECK_OK(insert->run_with(change.worker, change.agent_id, change.name, change.cpus,
                                       change.memory_mb, change.gpus, at_ms_));
    GAUNTLET_CHECK_OK(raise_counter("last_worker", change.worker.value));
    return add_event("worker_joined", SweepId{}, JobId{}, change.name);
  }

  Status on(const engine::WorkerLeft& change) {
    GAUNTLET_TRY(db::Statement * update,
                 connection_.cached("UPDATE workers SET left_ms = ?, reason = ? WHERE "
                                    "worker_id = ? RETURNING name"));
    GAUNTLET_CHECK_OK(update->bind_all(at_ms_, change.reason, change.worker));
    GAUNTLET_TRY(const bool known, update->step());
    const std::string name(known ? update->text(0) : std::string_view());
    if (known) GAUNTLET_CHECK_OK(update->run());
    return add_event("worker_left", SweepId{}, JobId{}, fmt::format("{}: {}", name, change.reason));
  }

  Status on(const engine::SweepPaused& change) {
    GAUNTLET_TRY(db::Statement * update,
                 connection_.cached("UPDATE sweeps SET paused = ? WHERE sweep_id = ?"));
    GAUNTLET_CHECK_OK(update->run_with(change.paused, change.sweep));
    return add_event(change.paused ? "paused" : "resumed", change.sweep, JobId{}, "");
  }

  Status set_state(JobId job, JobStateTag state) {
    GAUNTLET_TRY(db::Statement * update,
                 connection_.cached("UPDATE jobs SET state = ?, blocked_by = NULL, code = NULL, "
                                    "changed_ms = ? WHERE job_id = ?"));
    return update->run_with(static_cast<int>(state), at_ms_, job);
  }

  // The lease becomes the attempt's row. This is the fence: only the holder of the open lease ends its
  // attempt.
  Status end_attempt(JobId job, LeaseId lease, AttemptNo attempt, int code,
                     const engine::AttemptOutcome& outcome) {
    GAUNTLET_TRY(const auto environment, state_.rows.environment(outcome.environment));
    const auto text_or_null = [](const std::string& text) {
      return text.empty() ? std::optional<std::string_view>() : std::optional<std::string_view>(text);
    };
    std::optional<JobKey> manifest;
    if (!outcome.manifest.empty()) {
      if (const Result<Digest> digest = digest_from_hex(outcome.manifest)) manifest = JobKey{*digest};
    }
    GAUNTLET_TRY(
        db::Statement * insert,
        connection_.cached("INSERT INTO attempts (job_id, attempt, lease_id, worker_id, gpus, started_ms, "
                           "ended_ms, code, message, log, wall_s, environment_id, manifest) SELECT job_id, "
                           "attempt, lease_id, worker_id, gpus, started_ms, ?, ?, ?, ?, ?, ?, ? FROM leases "
                           "WHERE job_id = ? AND lease_id = ? AND attempt = ?"));
    GAUNTLET_CHECK_OK(
        insert->run_with(at_ms_, code, text_or_null(outcome.message), text_or_null(outcome.log),
                         std::isfinite(outcome.wall_s) ? std::optional<double>(outcome.wall_s) : std::nullopt,
                         environment, manifest, job, lease, attempt));
    if (connection_.changes() != 1) {
      return fail(ErrorCode::kStaleLease, "lease {} of job {}, attempt {}, is not open", lease.value,
                  job.value, attempt.value);
    }
    GAUNTLET_TRY(db::Statement * remove, connection_.cached("DELETE FROM leases WHERE job_id = ?"));
    return remove->run_with(job);
  }

  Status raise_counter(std::string_view name, std::uint64_t value) {
    GAUNTLET_TRY(db::Statement * update,
                 connection_.cached("UPDATE counters SET value = ?1 WHERE name = ?2 AND value "
                                    "< ?1"));
    return update->run_with(value, name);
  }

  Status add_event(std::string_view kind, SweepId sweep, JobId job, std::string_view detail) {
    GAUNTLET_TRY(db::Statement * insert,
                 connection_.cached("INSERT INTO events (at_ms, kind, sweep_id, job_id, detail) "
                                    "VALUES (?, ?, ?, ?, ?)"));
    const auto id_or_null = [](auto id) { return id ? std::optional(id) : std::nullopt; };
    return insert->run_with(at_ms_, kind, id_or_null(sweep), id_or_null(job), detail);
  }

  Status add_payload(JobId job) {
    GAUNTLET_TRY(
        db::Statement * read,
        connection_.cached(
            "SELECT j.key, j.shape_id, sp.canonical, sp.title, sp.locations, j.changed_ms FROM jobs j JOIN "
            "job_specs sp ON sp.job_id = j.job_id WHERE j.job_id = ?"));
    GAUNTLET_CHECK_OK(read->bind_all(job));
    GAUNTLET_TRY(const bool row, read->step());
    if (!row) return fail(ErrorCode::kInternal, "job {} is leased, but not in the database", job.value);
    engine::JobPayload payload;
    payload.job = job;
    payload.key = read->key(0);
    payload.canonical = read->text(2);
    payload.title = read->text(3);
    payload.locations = read->text(4);
    payload.waited_ms = std::max<std::int64_t>(0, at_ms_ - read->integer(5));
    const std::int64_t shape_id = read->integer(1);
    read->reset();
    GAUNTLET_TRY(payload.resources, resources_of(shape_id));
    payloads.push_back(std::move(payload));
    return {};
  }

  // A batch's jobs have few shapes.
  Result<spec::Resources> resources_of(std::int64_t shape_id) {
    GAUNTLET_TRY(const std::uint32_t index, shape_reader_.index_of(shape_id, shapes_));
    return shapes_[index].resources;
  }

  StoreState& state_;
  db::Connection& connection_;
  ShapeReader shape_reader_;
  std::vector<engine::JobShape> shapes_;
  std::int64_t at_ms_ = 0;
  std::uint64_t last_lease_ = 0;
};

}  // namespace

Result<std::vector<engine::JobPayload>> apply_all(StoreState& state,
                                                  std::span<const engine::Transition> transitions) {
  Applier applier(state);
  for (const engine::Transition& transition : transitions) GAUNTLET_CHECK_OK(applier.apply(transition));
  GAUNTLET_CHECK_OK(applier.finish());
  return std::move(applier.payloads);
}

}  // namespace gauntlet::store
