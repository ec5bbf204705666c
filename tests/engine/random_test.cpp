// Random histories: after every event the invariants hold, the books kept from the transitions agree with the
// state, and in the end every job's result was counted exactly once.
#include "core/base/random.hpp"
#include "tests/engine/world.hpp"

namespace gauntlet::engine {
namespace {

class History {
 public:
  explicit History(std::uint64_t seed) : random_(seed) {}

  void run(int n_events) {
    submit();
    for (int n_done = 0; n_done < n_events && !testing::Test::HasFailure(); ++n_done) step();
    finish();
  }

 private:
  std::uint64_t below(std::uint64_t n) { return random_.below(static_cast<std::uint32_t>(n)); }

  void step() {
    world_.advance(Milliseconds(static_cast<std::int64_t>(below(900))));
    switch (below(14)) {
      case 0:
        return submit();
      case 1:
        return join();
      case 2:
        return leave();
      case 3:
        return cancel();
      case 4:
        return retry();
      case 5:
        return pause();
      case 6:
        world_.keep(on_tick(world_.state, world_.now()));
        return;
      case 7:
        return heartbeat();
      case 8:
        return stale_report();
      case 9:
        return restart();
      default:
        return report();
    }
  }

  void submit() {
    if (world_.last_job > 120) return;
    std::vector<PlannedJob> jobs;
    const std::uint64_t first = world_.last_job + 1;
    const std::uint64_t n_jobs = 1 + below(12);
    for (std::uint64_t id = first; id < first + n_jobs; ++id) {
      PlannedJob job;
      job.resources.cpus = static_cast<std::int64_t>(below(5));
      job.resources.gpus = below(4) == 0 ? static_cast<std::int64_t>(1 + below(2)) : 0;
      job.resources.time_s = below(6) == 0 ? 3 : 0;
      for (std::uint64_t n_needs = below(3); n_needs > 0 && id > 1; --n_needs) {
        const std::uint64_t need = 1 + below(id - 1);
        if (std::find(job.needs.begin(), job.needs.end(), need) == job.needs.end()) job.needs.push_back(need);
      }
      jobs.push_back(job);
    }
    std::vector<std::uint64_t> shared;
    for (std::uint64_t id = 1; id < first; ++id) {
      if (below(8) == 0) shared.push_back(id);
    }
    world_.submit(1 + below(4), jobs, static_cast<std::int32_t>(below(2)), shared);
  }

  void join() {
    const std::string name(1, static_cast<char>('a' + below(4)));
    std::vector<LeaseRef> held;
    if (const Worker* known = world_.state.find_agent(name); known != nullptr) {
      for (const LeaseRef& ref : world_.held[known->id.value]) {
        if (below(8) != 0) held.push_back(ref);
      }
    }
    const WorkerId id = world_.join(
        World::offer(name, static_cast<std::int64_t>(1 + below(6)), static_cast<std::uint32_t>(1 + below(6)),
                     static_cast<std::int64_t>(below(3))),
        held);
    if (std::find(joined_.begin(), joined_.end(), id) == joined_.end()) joined_.push_back(id);
  }

  WorkerId some_worker() { return joined_.empty() ? WorkerId{1} : joined_[below(joined_.size())]; }

  void leave() {
    const WorkerId worker = some_worker();
    if (below(4) == 0) world_.keep(on_drain(world_.state, world_.now(), worker));
    world_.keep(on_worker_left(world_.state, world_.now(), worker));
  }

  void heartbeat() {
    const WorkerId worker = some_worker();
    std::vector<LeaseId> running;
    for (const LeaseRef& ref : world_.held[worker.value]) running.push_back(ref.lease);
    world_.keep(on_heartbeat(world_.state, world_.now(), worker, running));
  }

  void report() {
    const WorkerId worker = some_worker();
    std::vector<LeaseRef>& held = world_.held[worker.value];
    if (held.empty()) return;
    const std::size_t at = below(held.size());
    const LeaseRef ref = held[at];
    held.erase(held.begin() + static_cast<std::ptrdiff_t>(at));
    ended_.emplace_back(worker, ref);
    const std::array<ErrorCode, 4> codes{ErrorCode::kProcessDied, ErrorCode::kDiverged,
                                         ErrorCode::kInterrupted, ErrorCode::kTimedOut};
    if (below(4) != 0) {
      world_.report(worker, ref);
    } else {
      world_.report(worker, ref, codes[below(codes.size())]);
    }
  }

  void stale_report() {
    if (ended_.empty()) return;
    const auto [worker, ref] = ended_[below(ended_.size())];
    const auto done_before = world_.books.n_done;
    world_.report(worker, ref);
    EXPECT_EQ(world_.books.n_done, done_before) << "a report of an ended attempt changes nothing";
  }

  std::vector<JobId> some_jobs() {
    std::vector<JobId> jobs;
    for (std::uint64_t id = 1; id <= world_.last_job; ++id) {
      if (below(6) == 0) jobs.push_back(JobId{id});
    }
    return jobs;
  }

  void cancel() {
    if (below(3) == 0)
      world_.keep(on_cancel(world_.state, world_.now(), some_jobs(), SweepId{below(3)}, "random"));
  }
  void retry() { world_.keep(on_retry(world_.state, world_.now(), some_jobs())); }
  void pause() {
    const SweepId sweep{1 + below(4)};
    if (world_.state.find_sweep(sweep) == kNone) return;
    world_.keep(on_pause(world_.state, world_.now(), sweep, below(2) == 0));
  }
  void restart() {
    if (below(4) == 0) world_.restart();
  }

  std::vector<JobId> all_jobs() const {
    std::vector<JobId> jobs;
    for (std::uint64_t id = 1; id <= world_.last_job; ++id) jobs.push_back(JobId{id});
    return jobs;
  }

  bool all_done() const {
    return world_.state.counts()[static_cast<std::size_t>(JobStateTag::kDone)] == world_.last_job;
  }

  /// One good worker, everything resumed and retried: every job must be done.
  void finish() {
    if (testing::Test::HasFailure()) return;
    for (std::uint64_t sweep = 1; sweep <= 4; ++sweep) {
      if (world_.state.find_sweep(SweepId{sweep}) != kNone) {
        world_.keep(on_pause(world_.state, world_.now(), SweepId{sweep}, false));
      }
    }
    world_.advance(Milliseconds(60000));
    world_.keep(on_tick(world_.state, world_.now()));
    const WorkerId worker = world_.join(World::offer("good", 4, 16, 2));
    for (int n_rounds = 0; n_rounds < 400 && !all_done() && !testing::Test::HasFailure(); ++n_rounds) {
      world_.keep(on_retry(world_.state, world_.now(), all_jobs()));
      while (!world_.held[worker.value].empty()) {
        const LeaseRef ref = world_.held[worker.value].back();
        world_.held[worker.value].pop_back();
        world_.report(worker, ref);
      }
      world_.advance(Milliseconds(500));
      world_.keep(on_tick(world_.state, world_.now()));
      world_.keep(on_heartbeat(world_.state, world_.now(), worker, {}));
    }
    EXPECT_TRUE(all_done()) << world_.state.dump().dump(1);
    for (std::uint64_t id = 1; id <= world_.last_job; ++id)
      EXPECT_EQ(world_.books.n_done[id], 1) << "job " << id;
  }

  World world_;
  RandomStream random_;
  std::vector<WorkerId> joined_;
  std::vector<std::pair<WorkerId, LeaseRef>> ended_;
};

class RandomHistory : public testing::TestWithParam<std::uint64_t> {};

TEST_P(RandomHistory, KeepsTheInvariantsAndCountsEveryResultOnce) { History(GetParam()).run(250); }

INSTANTIATE_TEST_SUITE_P(Seeds, RandomHistory, testing::Range<std::uint64_t>(1, 61));

}  // namespace
}  // namespace gauntlet::engine
