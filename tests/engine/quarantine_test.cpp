// Workers and devices where jobs fail that succeed elsewhere.
#include "coordinator/engine/quarantine.hpp"

#include "coordinator/engine/explain.hpp"
#include "tests/engine/world.hpp"

namespace gauntlet::engine {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string job_name(JobId id) { return fmt::format("job {}", id.value); }

class Quarantine : public testing::Test {
 protected:
  /// Jobs first to last fail on `bad`, which has them, and wait for another attempt.
  void fail_all(std::uint64_t first, std::uint64_t last, ErrorCode cause = ErrorCode::kProcessDied) {
    for (std::uint64_t job = first; job <= last; ++job) world.report(bad, world.take(bad, job), cause);
  }
  void pass_wait() {
    world.advance(Milliseconds(4000));
    for (const WorkerId id : {bad, good}) {
      if (id) world.keep(on_heartbeat(world.state, world.now(), id, {}));
    }
    world.keep(on_tick(world.state, world.now()));
  }
  [[nodiscard]] const Worker& the_bad() const { return *world.state.find_worker(bad); }
  [[nodiscard]] static PlannedJob on_gpus(std::int64_t n) {
    return {.resources = {.cpus = 1, .gpus = n, .ranks = 1, .memory_mb = 0, .time_s = 0}};
  }

  World world;
  WorkerId bad = world.join(World::offer("bad", 3));
  WorkerId good;  ///< takes what waits as soon as it has joined: it has more cpus
};

TEST_F(Quarantine, AWorkerWhereThreeJobsFailedThatSucceedElsewhereGetsNothingMore) {
  world.submit(1, std::vector<PlannedJob>(3));
  fail_all(1, 3);
  EXPECT_EQ(the_bad().quarantine, "") << "they may fail everywhere";
  good = world.join(World::offer("good", 8));
  pass_wait();
  world.report(good, world.take(good, 1));
  world.report(good, world.take(good, 2));
  EXPECT_EQ(the_bad().quarantine, "");
  ReportEvent third;
  third.ref = world.take(good, 3);
  std::vector<ReportEvent> reports;
  reports.push_back(third);
  const Decision decision = world.keep(on_report(world.state, world.now(), good, std::move(reports)));
  EXPECT_THAT(
      decision.warnings,
      ElementsAre("worker bad goes into quarantine: 3 jobs in a row failed here and succeeded elsewhere"));
  world.submit(2, std::vector<PlannedJob>(11));
  EXPECT_THAT(world.jobs_of(bad), IsEmpty());
  EXPECT_EQ(world.jobs_of(good).size(), 8U);
}

TEST_F(Quarantine, EndsWithANewAgentProcessAndNotWithAReconnection) {
  world.submit(1, std::vector<PlannedJob>(3));
  fail_all(1, 3);
  good = world.join(World::offer("good", 8));
  pass_wait();
  for (const std::uint64_t job : {1U, 2U, 3U}) world.report(good, world.take(good, job));
  world.keep(on_worker_left(world.state, world.now(), good));
  world.keep(on_worker_left(world.state, world.now(), bad));
  ASSERT_EQ(world.join(World::offer("bad", 3)), bad);
  world.submit(2, {{}});
  EXPECT_EQ(world.tag(4), JobStateTag::kQueued);
  EXPECT_THAT(explain(world.state, JobId{4}, world.now(), job_name),
              Contains(HasSubstr("is in quarantine: 3 jobs in a row failed here")));
  WorkerOffer again = World::offer("a new process", 3);
  again.name = "bad";
  const WorkerId fresh = world.join(again);
  EXPECT_THAT(world.jobs_of(fresh), ElementsAre(4U));
}

TEST_F(Quarantine, ASuccessInBetweenClearsAWorker) {
  world.submit(1, std::vector<PlannedJob>(3));
  fail_all(1, 2);
  world.report(bad, world.take(bad, 3));
  world.submit(2, {{}});
  fail_all(4, 4);
  good = world.join(World::offer("good", 8));
  pass_wait();
  for (const std::uint64_t job : {1U, 2U, 4U}) world.report(good, world.take(good, job));
  EXPECT_EQ(the_bad().quarantine, "");
}

TEST_F(Quarantine, JobsThatFailEverywhereProveNothing) {
  world.submit(1, std::vector<PlannedJob>(3));
  fail_all(1, 3);
  good = world.join(World::offer("good", 8));
  pass_wait();
  for (const std::uint64_t job : {1U, 2U, 3U})
    world.report(good, world.take(good, job), ErrorCode::kProcessDied);
  EXPECT_EQ(the_bad().quarantine, "");
  EXPECT_EQ(world.state.find_worker(good)->quarantine, "");
}

TEST_F(Quarantine, OnlyWhatMayBeTheMachinesFaultCounts) {
  world.submit(1, std::vector<PlannedJob>(3));
  fail_all(1, 3, ErrorCode::kCorrupt);
  good = world.join(World::offer("good", 8));
  pass_wait();
  for (const std::uint64_t job : {1U, 2U, 3U}) world.report(good, world.take(good, job));
  EXPECT_EQ(the_bad().quarantine, "");
}

TEST_F(Quarantine, CanBeSwitchedOff) {
  world.state = State(EngineConfig{.quarantine_after = 0});
  world.books = {};
  bad = world.join(World::offer("bad", 3));
  world.submit(1, std::vector<PlannedJob>(3));
  fail_all(1, 3);
  good = world.join(World::offer("good", 8));
  pass_wait();
  for (const std::uint64_t job : {1U, 2U, 3U}) world.report(good, world.take(good, job));
  EXPECT_EQ(the_bad().quarantine, "");
}

TEST_F(Quarantine, ABrokenDeviceIsLeftOutAndItsWorkerGoesOn) {
  bad = world.join(World::offer("gpus", 8, 64, 2));
  std::set<std::uint64_t> failed;
  for (std::uint64_t job = 1; job <= 3; ++job) {  // one at a time: the first device is given first
    world.submit(1, {on_gpus(1)});
    const LeaseRef ref = world.take(bad, job);
    ASSERT_EQ(world.gpus[ref.lease.value], 1U);
    world.report(bad, ref, ErrorCode::kIo);
  }
  world.submit(1, {on_gpus(1)});  // takes the first device and keeps it
  const LeaseRef holder = world.take(bad, 4);
  ASSERT_EQ(world.gpus[holder.lease.value], 1U);
  for (std::uint64_t job = 1; job <= 3; ++job) {
    pass_wait();
    for (std::uint64_t done = 1; done <= 3; ++done) {
      if (world.tag(done) != JobStateTag::kLeased) continue;
      const LeaseRef ref = world.take(bad, done);
      ASSERT_EQ(world.gpus[ref.lease.value], 2U);
      world.report(bad, ref);
      break;
    }
  }
  EXPECT_EQ(the_bad().bad_gpus, 1U);
  EXPECT_EQ(the_bad().quarantine, "");
  EXPECT_EQ(usable_gpus(the_bad()), 1);
  world.report(bad, holder);
  world.submit(1, {on_gpus(1), on_gpus(2)});
  EXPECT_EQ(world.gpus[world.take(bad, 5).lease.value], 2U);
  EXPECT_EQ(world.tag(6), JobStateTag::kQueued);
  EXPECT_THAT(explain(world.state, JobId{6}, world.now(), job_name),
              Contains(HasSubstr("worker gpus has 2 gpus (1 of them in quarantine), 2 are asked for")));
}

}  // namespace
}  // namespace gauntlet::engine
