// A small world around the engine for its tests: submits graphs, plays workers, keeps its own books of what
// the transitions say, and compares them with the engine's state.
#pragma once

#include <gmock/gmock.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "coordinator/engine/handlers.hpp"

namespace gauntlet::engine {

struct PlannedJob {
  spec::Resources resources{.cpus = 1, .gpus = 0, .ranks = 1, .memory_mb = 0, .time_s = 0};
  std::vector<std::uint64_t> needs = {};  ///< ids
  spec::JobKind kind = spec::JobKind::kNoop;
  std::string entry = "";
  std::int64_t version = 0;
};

/// What the transitions add up to: the database as the store would have it.
struct Books {
  std::map<std::uint64_t, JobStateTag> states;
  std::map<std::uint64_t, ErrorCode> codes;
  std::map<std::uint64_t, std::uint64_t> culprits;
  std::map<std::uint64_t, std::pair<std::uint8_t, std::uint8_t>> counters;  ///< failures, losses
  std::map<std::uint64_t, LeaseRow> leases;                                 ///< open ones, by job
  std::map<std::uint64_t, std::uint64_t> attempts;
  std::map<std::uint64_t, int> n_done;  ///< accepted results, by job
  std::map<std::uint64_t, WorkerRow> workers;
  std::set<std::uint64_t> paused;
  std::uint64_t last_lease = 0;
  std::uint64_t last_worker = 0;

  void apply(const std::vector<Transition>& transitions) {
    for (const Transition& transition : transitions)
      std::visit([&](const auto& change) { take(change); }, transition.change);
  }

 private:
  void take(const JobQueued& change) { states[change.job.value] = JobStateTag::kQueued; }
  void take(const JobWaiting& change) { states[change.job.value] = JobStateTag::kWaiting; }
  void take(const JobBlocked& change) {
    states[change.job.value] = JobStateTag::kBlocked;
    culprits[change.job.value] = change.culprit.value;
  }
  void take(const JobFailed& change) {
    states[change.job.value] = JobStateTag::kFailed;
    codes[change.job.value] = change.code;
  }
  void take(const JobCancelled& change) { states[change.job.value] = JobStateTag::kCancelled; }
  void take(const JobRetried& change) { counters[change.job.value] = {0, 0}; }
  void take(const JobLeased& change) {
    EXPECT_GT(change.lease.value, last_lease) << "lease ids only grow";
    EXPECT_EQ(change.attempt.value, attempts[change.job.value] + 1) << "attempt numbers grow by one";
    EXPECT_FALSE(leases.contains(change.job.value)) << "a job has one lease at a time";
    EXPECT_TRUE(workers.contains(change.worker.value)) << "a lease names a worker the database knows";
    last_lease = change.lease.value;
    attempts[change.job.value] = change.attempt.value;
    states[change.job.value] = JobStateTag::kLeased;
    leases[change.job.value] = {change.job, change.lease, change.attempt, change.worker, change.gpus, 0};
  }
  void take(const AttemptDone& change) {
    end(change.job, change.lease, change.attempt);
    states[change.job.value] = JobStateTag::kDone;
    ++n_done[change.job.value];
  }
  void take(const AttemptFailed& change) {
    end(change.job, change.lease, change.attempt);
    counters[change.job.value] = {change.failures, change.losses};
  }
  void take(const WorkerJoined& change) {
    workers[change.worker.value] = {change.worker, change.agent_id,  change.name,
                                    change.cpus,   change.memory_mb, change.gpus};
    last_worker = std::max(last_worker, change.worker.value);
  }
  void take(const WorkerLeft& change) { EXPECT_TRUE(workers.contains(change.worker.value)); }
  void take(const SweepPaused& change) {
    if (change.paused) paused.insert(change.sweep.value);
    if (!change.paused) paused.erase(change.sweep.value);
  }
  void end(JobId job, LeaseId lease, AttemptNo attempt) {
    ASSERT_TRUE(leases.contains(job.value)) << "only an open attempt ends";
    EXPECT_EQ(leases[job.value].lease, lease);
    EXPECT_EQ(leases[job.value].attempt, attempt);
    leases.erase(job.value);
  }
};

class World {
 public:
  explicit World(EngineConfig config = {}) : state(config) {}

  [[nodiscard]] Now now() const { return {steady, wall_ms}; }
  void advance(Milliseconds by) {
    steady += by;
    wall_ms += by.count();
  }

  /// Books the transitions, keeps the messages, checks the invariants.
  Decision keep(Decision decision) {
    books.apply(decision.transitions);
    for (const Outgoing& message : decision.messages) {
      if (const auto* leases = std::get_if<GiveLeases>(&message)) {
        for (const LeaseGrant& grant : leases->grants) {
          held[leases->worker.value].push_back({grant.job, grant.lease, grant.attempt});
          gpus[grant.lease.value] = grant.gpus;
        }
      }
    }
    const Status status = state.check_invariants();
    EXPECT_TRUE(status) << status.error().message;
    for (const auto& [id, tag] : books.states) {
      EXPECT_EQ(name_of(tag), name_of(tag_of(state.job(JobId{id}).state)))
          << "job " << id << " by its transitions";
    }
    return decision;
  }
  Decision keep(Result<Decision> decision) {
    EXPECT_TRUE(decision) << decision.error().message;
    return keep(std::move(*decision));
  }

  /// Submits new jobs (numbered on from the last) as a sweep; `also` are known jobs it shares.
  Decision submit(std::uint64_t sweep, const std::vector<PlannedJob>& jobs, std::int32_t priority = 0,
                  const std::vector<std::uint64_t>& also = {}) {
    SubmitOutcome outcome;
    outcome.sweep.id = SweepId{sweep};
    outcome.sweep.name = fmt::format("sweep{}", sweep);
    outcome.sweep.priority = priority;
    for (const PlannedJob& job : jobs) {
      JobRow row;
      row.id = JobId{++last_job};
      row.shape = static_cast<std::uint32_t>(outcome.rows.shapes.size());
      outcome.rows.shapes.push_back({job.kind, job.entry, job.version, job.resources});
      row.state = job.needs.empty() ? JobStateTag::kQueued : JobStateTag::kWaiting;
      books.states[row.id.value] = row.state;
      for (const std::uint64_t need : job.needs) outcome.rows.needs.push_back({row.id, JobId{need}});
      outcome.rows.jobs.push_back(row);
      outcome.rows.members.push_back({SweepId{sweep}, row.id});
      plans[row.id.value] = job;
      sweeps_of[row.id.value].insert(sweep);
    }
    for (const std::uint64_t id : also) {
      outcome.rows.members.push_back({SweepId{sweep}, JobId{id}});
      sweeps_of[id].insert(sweep);
    }
    sweep_rows[sweep] = outcome.sweep;
    return keep(on_submit(state, now(), outcome));
  }

  static WorkerOffer offer(const std::string& agent, std::int64_t cpus, std::uint32_t credit = 64,
                           std::int64_t n_gpus = 0) {
    WorkerOffer made;
    made.agent_id = agent;
    made.name = agent;
    made.cpus = cpus;
    made.gpus = n_gpus;
    made.memory_mb = 1000;
    made.credit = credit;
    made.has_torch = true;
    return made;
  }

  WorkerId join(const WorkerOffer& made, const std::vector<LeaseRef>& claims = {}) {
    const Decision decision = keep(on_worker_joined(state, now(), {made, claims}));
    for (const Outgoing& message : decision.messages) {
      if (const auto* welcome = std::get_if<WelcomeWorker>(&message)) {
        last_stale = welcome->stale;
        return welcome->worker;
      }
    }
    ADD_FAILURE() << "no welcome";
    return {};
  }

  /// Takes the first lease in the worker's hands for this job; fails the test when it has none.
  LeaseRef take(WorkerId worker, std::uint64_t job) {
    std::vector<LeaseRef>& mine = held[worker.value];
    const auto found =
        std::find_if(mine.begin(), mine.end(), [&](const LeaseRef& ref) { return ref.job.value == job; });
    if (found == mine.end()) {
      ADD_FAILURE() << "worker " << worker.value << " was not given job " << job;
      return {};
    }
    const LeaseRef ref = *found;
    mine.erase(found);
    return ref;
  }

  AnswerReports report(WorkerId worker, const LeaseRef& ref, std::optional<ErrorCode> code = {},
                       const std::vector<JobId>& damaged = {}) {
    ReportEvent event;
    event.ref = ref;
    event.code = code;
    event.outcome.wall_s = 2;
    event.damaged = damaged;
    std::vector<ReportEvent> events;
    events.push_back(std::move(event));
    const Decision decision = keep(on_report(state, now(), worker, std::move(events)));
    return std::get<AnswerReports>(decision.messages.front());
  }

  [[nodiscard]] JobStateTag tag(std::uint64_t job) const { return tag_of(state.job(JobId{job}).state); }
  [[nodiscard]] std::vector<std::uint64_t> jobs_of(WorkerId worker) const {
    std::vector<std::uint64_t> jobs;
    const Worker* known = state.find_worker(worker);
    if (known == nullptr) return jobs;
    for (const JobId job : known->leases) jobs.push_back(job.value);
    std::sort(jobs.begin(), jobs.end());
    return jobs;
  }

  /// The rows a database would give after everything booked so far.
  [[nodiscard]] RestoredRows rows() const {
    RestoredRows made;
    for (auto [id, row] : sweep_rows) {
      row.paused = books.paused.contains(id);
      made.sweeps.push_back(row);
    }
    for (const auto& [id, plan] : plans) {
      JobRow row;
      row.id = JobId{id};
      row.shape = static_cast<std::uint32_t>(made.rows.shapes.size());
      made.rows.shapes.push_back({plan.kind, plan.entry, plan.version, plan.resources});
      row.state = books.states.at(id);
      if (books.codes.contains(id)) row.code = books.codes.at(id);
      if (books.culprits.contains(id)) row.culprit = JobId{books.culprits.at(id)};
      if (books.counters.contains(id)) std::tie(row.failures, row.losses) = books.counters.at(id);
      if (books.attempts.contains(id)) row.last_attempt = AttemptNo{books.attempts.at(id)};
      made.rows.jobs.push_back(row);
      for (const std::uint64_t need : plan.needs) made.rows.needs.push_back({row.id, JobId{need}});
      for (const std::uint64_t sweep : sweeps_of.at(id))
        made.rows.members.push_back({SweepId{sweep}, row.id});
    }
    for (const auto& [job, lease] : books.leases) {
      made.leases.push_back(lease);
      made.leases.back().started_ms = wall_ms;
    }
    for (const auto& [id, worker] : books.workers) made.workers.push_back(worker);
    made.last_lease = LeaseId{books.last_lease};
    made.last_worker = WorkerId{books.last_worker};
    return made;
  }

  /// Starts over from the books, as after a crash.
  void restart() {
    Result<Restored> restored = restore(state.config(), rows(), now());
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_TRUE(restored->transitions.empty()) << "the database was consistent";
    state = std::move(restored->state);
    const Status status = state.check_invariants();
    EXPECT_TRUE(status) << status.error().message;
  }

  State state;
  Books books;
  SteadyTime steady{std::chrono::hours(1)};
  std::int64_t wall_ms = 1'700'000'000'000;
  std::uint64_t last_job = 0;
  std::map<std::uint64_t, PlannedJob> plans;
  std::map<std::uint64_t, std::set<std::uint64_t>> sweeps_of;
  std::map<std::uint64_t, SweepRow> sweep_rows;
  std::map<std::uint64_t, std::vector<LeaseRef>> held;  ///< leases sent to each worker and not yet reported
  std::map<std::uint64_t, std::uint64_t> gpus;          ///< by lease
  std::vector<LeaseRef> last_stale;
};

}  // namespace gauntlet::engine
