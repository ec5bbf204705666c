// A small world around the engine for its tests: submits graphs, plays workers, keeps its own books of what
// the transitions say, and compares them with the engine's state.
#pragma once

#include <gmock/gmock.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "coordinator/engine/handlers.hpp"
#include "tests/engine/books.hpp"

namespace gauntlet::engine {

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
    EXPECT_EQ(books.problem, "");
    EXPECT_EQ(books.check_results(), "");
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
      if (!state.has_job(JobId{id})) continue;  // in the database, and the engine hears of it later
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
                  const std::vector<std::uint64_t>& also = {}, const Books::Asks& asks = {}) {
    const SubmitOutcome outcome = books.submit(sweep, priority, jobs, also, asks);
    last_job = books.last_job;
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

  /// Starts over from the books, as after a crash.
  void restart() {
    Result<Restored> restored = restore(state.config(), books.rows(), now());
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
  std::map<std::uint64_t, std::vector<LeaseRef>> held;  ///< leases sent to each worker and not yet reported
  std::map<std::uint64_t, std::uint64_t> gpus;          ///< by lease
  std::vector<LeaseRef> last_stale;
};

}  // namespace gauntlet::engine
