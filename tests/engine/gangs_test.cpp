// Gangs of eight GPUs beside an endless stream of small jobs, in simulated time: how long the first of them
// has to wait is bounded by how long the others run, whatever happens to the workers.
#include <queue>

#include "core/base/random.hpp"
#include "tests/engine/world.hpp"

namespace gauntlet::engine {
namespace {

constexpr std::int64_t kLongestS = 20;  ///< of any attempt
constexpr std::int64_t kTickS = 1;
/// Until eight others have passed it every running attempt may have been replaced once; then one worker is
/// kept, and runs empty.
constexpr std::int64_t kLongestWaitS = 2 * kLongestS + kTickS;

class Cluster {
 public:
  Cluster(std::uint64_t seed, bool disturbed) : random_(RandomStream::of(seed, 2, 0)), disturbed_(disturbed) {
    for (std::size_t at = 0; at < kWorkers; ++at) join(at);
  }

  void run(std::int64_t for_s) {
    for (std::int64_t second = 0; second < for_s; second += kTickS) {
      feed();
      if (disturbed_ && random_.below(15) == 0) disturb();
      world_.advance(std::chrono::seconds(kTickS));
      end_attempts();
      for (const WorkerId worker : workers_) take(on_heartbeat(world_.state, world_.now(), worker, {}));
      take(on_tick(world_.state, world_.now()));
      check_waits();
      if (second % 20 == 0) check_invariants();
    }
  }

  std::size_t n_gangs_placed = 0;
  std::int64_t longest_wait_s = 0;

 private:
  static constexpr std::size_t kWorkers = 3;
  struct Running {
    SteadyTime ends;
    WorkerId worker;
    LeaseRef ref;
    bool operator>(const Running& other) const { return ends > other.ends; }
  };

  void join(std::size_t at) {
    const std::string name = fmt::format("agent{}-{}", at, ++n_agents_);
    workers_.resize(std::max(workers_.size(), at + 1));
    const Decision decision =
        on_worker_joined(world_.state, world_.now(), {World::offer(name, 64, 64, 8), {}});
    workers_[at] = std::get<WelcomeWorker>(decision.messages.front()).worker;
    take(decision);
  }

  void feed() {
    const auto n_queued = world_.state.counts()[static_cast<std::size_t>(JobStateTag::kQueued)];
    const auto gang = [](std::int64_t gpus) {
      return PlannedJob{.resources = {.cpus = 1, .gpus = gpus, .ranks = 1, .memory_mb = 0, .time_s = 0}};
    };
    if (n_queued < 60) submit(1, std::vector<PlannedJob>(40, gang(1)));
    if (n_queued < 60) submit(2, {gang(2), gang(4), gang(0), gang(0)});
    if (random_.below(25) == 0) submit(3 + random_.below(2), {gang(8)});
  }

  void submit(std::uint64_t sweep, const std::vector<PlannedJob>& jobs) {
    const SubmitOutcome outcome = world_.books.submit(sweep, 0, jobs, {});
    if (jobs.front().resources.gpus == 8) {
      waiting_since_[outcome.rows.jobs.front().id.value] = {world_.steady, n_gangs_placed, n_disturbances_};
    }
    Result<Decision> decision = on_submit(world_.state, world_.now(), outcome);
    ASSERT_TRUE(decision);
    take(*decision);
  }

  void take(const Decision& decision) {
    for (const Outgoing& message : decision.messages) {
      const auto* leases = std::get_if<GiveLeases>(&message);
      if (leases == nullptr) continue;
      for (const LeaseGrant& grant : leases->grants) {
        n_gangs_placed += waiting_since_.erase(grant.job.value);
        running_.push({world_.steady + std::chrono::seconds(1 + random_.below(kLongestS)),
                       leases->worker,
                       {grant.job, grant.lease, grant.attempt}});
      }
    }
  }

  void end_attempts() {
    while (!running_.empty() && running_.top().ends <= world_.steady) {
      const Running ended = running_.top();
      running_.pop();
      std::vector<ReportEvent> reports(1);
      reports.front().ref = ended.ref;
      take(on_report(world_.state, world_.now(), ended.worker, std::move(reports)));
    }
  }

  /// A worker is away for a moment, leaves, or dies; its place is taken at once.
  void disturb() {
    ++n_disturbances_;
    const std::size_t at = random_.below(kWorkers);
    if (random_.below(2) == 0) take(on_drain(world_.state, world_.now(), workers_[at]));
    take(on_worker_left(world_.state, world_.now(), workers_[at]));
    join(at);
  }

  void check_waits() {
    for (const auto& [job, since] : waiting_since_) {
      const auto waited_s =
          std::chrono::duration_cast<std::chrono::seconds>(world_.steady - since.at).count();
      longest_wait_s = std::max(longest_wait_s, waited_s);
      // Gangs that were placed meanwhile went before it, and what happens to a worker may start the wait
      // again.
      const auto n_starts = static_cast<std::int64_t>(1 + n_gangs_placed - since.n_placed + n_disturbances_ -
                                                      since.n_disturbances);
      ASSERT_LE(waited_s, n_starts * kLongestWaitS) << "job " << job << " starves";
    }
  }

  void check_invariants() {
    const Status status = world_.state.check_invariants();
    ASSERT_TRUE(status) << status.error().message;
  }

  struct Since {
    SteadyTime at;
    std::size_t n_placed = 0;
    std::size_t n_disturbances = 0;
  };
  RandomStream random_;
  bool disturbed_;
  World world_;
  std::vector<WorkerId> workers_;
  std::size_t n_agents_ = 0;
  std::size_t n_disturbances_ = 0;
  std::priority_queue<Running, std::vector<Running>, std::greater<>> running_;
  std::map<std::uint64_t, Since> waiting_since_;  ///< gangs of eight
};

class Gangs : public testing::TestWithParam<std::uint64_t> {};

TEST_P(Gangs, OfEightAreNotStarvedByAStreamOfSmallJobs) {
  Cluster cluster(GetParam(), false);
  cluster.run(600);
  EXPECT_GT(cluster.n_gangs_placed, 10U);
  RecordProperty("longest_wait_s", static_cast<int>(cluster.longest_wait_s));
}

TEST_P(Gangs, OfEightAreNotStarvedByWorkersThatComeAndGo) {
  Cluster cluster(GetParam(), true);
  cluster.run(600);
  EXPECT_GT(cluster.n_gangs_placed, 5U);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Gangs, testing::Range<std::uint64_t>(1, 21));

}  // namespace
}  // namespace gauntlet::engine
