#include "coordinator/engine/explain.hpp"
#include "tests/engine/world.hpp"

namespace gauntlet::engine {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string job_name(JobId id) { return fmt::format("job {}", id.value); }

TEST(Restore, GoesOnWithLeasesThatTheirWorkerStillHolds) {
  World world;
  world.submit(1, {{}, {}, {.needs = {1, 2}}});
  const WorkerId worker = world.join(World::offer("a", 2));
  const LeaseRef first = world.take(worker, 1);
  const LeaseRef second = world.take(worker, 2);
  world.report(worker, first);
  world.restart();
  EXPECT_EQ(world.tag(1), JobStateTag::kDone);
  EXPECT_EQ(world.tag(2), JobStateTag::kLeased);
  EXPECT_EQ(world.tag(3), JobStateTag::kWaiting);
  EXPECT_EQ(world.join(World::offer("a", 2), {second}), worker);
  EXPECT_THAT(world.last_stale, IsEmpty());
  world.report(worker, second);
  EXPECT_EQ(world.tag(3), JobStateTag::kLeased);
  EXPECT_EQ(world.books.attempts[2], 1U) << "the running attempt survived";
}

TEST(Restore, NewLeasesHaveNewNumbers) {
  World world;
  world.submit(1, {{}, {}});
  const WorkerId before = world.join(World::offer("a", 1));
  world.restart();
  const WorkerId other = world.join(World::offer("b", 1));
  EXPECT_GT(other, before);
  EXPECT_EQ(world.take(other, 2).lease, LeaseId{2});
}

TEST(Restore, UnclaimedLeasesGoBackAfterTheGracePeriodOfARestart) {
  World world;
  world.submit(1, {{}});
  const WorkerId worker = world.join(World::offer("a", 1));
  const LeaseRef ref = world.take(worker, 1);
  world.restart();
  world.advance(EngineConfig{}.restart_grace);
  world.keep(on_tick(world.state, world.now()));
  EXPECT_EQ(world.join(World::offer("a", 1), {ref}), worker);
  EXPECT_THAT(world.last_stale, testing::IsEmpty());
  world.restart();
  world.advance(EngineConfig{}.restart_grace + Milliseconds(1));
  world.keep(on_tick(world.state, world.now()));
  EXPECT_EQ(world.tag(1), JobStateTag::kQueued);
}

TEST(Restore, KeepsPausedSweepsFailuresAndCulprits) {
  World world;
  world.submit(1, {{}, {.needs = {1}}});
  world.submit(2, {{}});
  const WorkerId worker = world.join(World::offer("a", 1));
  world.report(worker, world.take(worker, 1), ErrorCode::kOutOfMemory);
  world.keep(on_pause(world.state, world.now(), SweepId{2}, true));
  world.restart();
  EXPECT_EQ(std::get<Failed>(world.state.job(JobId{1}).state).code, ErrorCode::kOutOfMemory);
  EXPECT_EQ(std::get<Blocked>(world.state.job(JobId{2}).state).culprit, JobId{1});
  EXPECT_TRUE(world.state.sweeps()[1].row.paused);
  EXPECT_EQ(world.state.job(JobId{1}).failures, 1);
}

TEST(Restore, RepairsStatesThatTheNeedsContradict) {
  World world;
  world.submit(1, {{}, {.needs = {1}}});
  RestoredRows rows = world.books.rows();
  rows.rows.jobs[0].state = JobStateTag::kDone;
  const auto restored = restore({}, rows, world.now());
  ASSERT_TRUE(restored);
  ASSERT_EQ(restored->transitions.size(), 1U);
  EXPECT_EQ(std::get<JobQueued>(restored->transitions.front().change).job, JobId{2});
}

TEST(Restore, RefusesLeasesOfUnknownJobs) {
  World world;
  RestoredRows rows = world.books.rows();
  rows.leases.push_back({JobId{4}, LeaseId{1}, AttemptNo{1}, WorkerId{1}, 0, 0});
  const auto refused = restore({}, rows, world.now());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(refused.error().message, HasSubstr("lease 1 names job 4"));
}

// ---------------------------------------------------------------- explain, estimates, dump

std::vector<std::string> why(const World& world, std::uint64_t job) {
  return explain(world.state, JobId{job}, world.now(), job_name);
}

TEST(Explain, NamesUnmetNeeds) {
  World world;
  world.submit(1, {{}, {}, {.needs = {1, 2}}});
  EXPECT_THAT(why(world, 3), ElementsAre("waits for 2 jobs", "needs job 1, which is queued",
                                         "needs job 2, which is queued"));
}

TEST(Explain, SaysThatNoWorkerIsConnected) {
  World world;
  world.submit(1, {{}});
  EXPECT_THAT(why(world, 1), ElementsAre(HasSubstr("no worker is connected")));
}

TEST(Explain, NamesTheNearestWorkerAndWhatItLacks) {
  World world;
  world.join(World::offer("small", 2));
  world.join(World::offer("large", 8));
  world.submit(1, {{.resources = {.cpus = 6, .gpus = 0, .ranks = 1, .memory_mb = 0, .time_s = 0}}});
  world.submit(1, {{.resources = {.cpus = 2, .gpus = 0, .ranks = 1, .memory_mb = 0, .time_s = 0}}});
  world.submit(1, {{.resources = {.cpus = 2, .gpus = 0, .ranks = 1, .memory_mb = 0, .time_s = 0}}});
  world.submit(1, {{.resources = {.cpus = 3, .gpus = 0, .ranks = 1, .memory_mb = 0, .time_s = 0}}});
  ASSERT_EQ(world.tag(4), JobStateTag::kQueued);
  EXPECT_THAT(why(world, 4),
              ElementsAre(testing::AllOf(HasSubstr("the nearest worker"), HasSubstr("cpus free"))));
}

TEST(Explain, ListsWhyNoWorkerCanRunIt) {
  World world;
  WorkerOffer old = World::offer("old", 2);
  old.entries = {{"attack", "pgd", 1}};
  world.join(old);
  world.submit(1, {{.kind = spec::JobKind::kCraft, .entry = "pgd", .version = 2},
                   {.resources = {.cpus = 1, .gpus = 4, .ranks = 1, .memory_mb = 0, .time_s = 0}}});
  EXPECT_THAT(why(world, 1), ElementsAre(HasSubstr("none of 1 worker can run it"),
                                         HasSubstr("worker old does not offer pgd version 2")));
  EXPECT_THAT(why(world, 2),
              ElementsAre(HasSubstr("none of"), HasSubstr("worker old has 0 gpus, 4 are asked for")));
}

TEST(Explain, TellsOfBackoffPauseBlockFailureAndEnd) {
  World world;
  world.submit(1, {{}, {.needs = {1}}});
  world.submit(2, {{}, {}});
  const WorkerId worker = world.join(World::offer("a", 1));
  EXPECT_THAT(why(world, 1).front(), HasSubstr("attempt 1 runs on worker a"));
  world.report(worker, world.take(worker, 1), ErrorCode::kProcessDied);
  EXPECT_THAT(why(world, 1).front(),
              AllOf(HasSubstr("attempt 1 failed with process_died; the next one starts in"),
                    HasSubstr("(failure 1 of at most 3)")));
  world.keep(on_pause(world.state, world.now(), SweepId{2}, true));
  world.report(worker, world.take(worker, 3));
  EXPECT_THAT(why(world, 3).front(), HasSubstr("done by attempt 1"));
  EXPECT_THAT(why(world, 4).front(), HasSubstr("its sweep sweep2 is paused"));
  world.advance(Milliseconds(1000));
  world.keep(on_tick(world.state, world.now()));
  world.report(worker, world.take(worker, 1), ErrorCode::kInvalid);
  EXPECT_THAT(why(world, 1).front(), HasSubstr("failed with invalid after 2 attempts"));
  EXPECT_THAT(why(world, 2).front(), HasSubstr("blocked by job 1, which is failed"));
  EXPECT_THAT(mentioned_jobs(world.state, JobId{2}), ElementsAre(JobId{1}));
  world.keep(on_cancel(world.state, world.now(), {JobId{4}}, {}, ""));
  EXPECT_THAT(why(world, 4).front(), HasSubstr("cancelled"));
}

TEST(Eta, IsMeanTimesRemainingOverRunning) {
  World world;
  world.submit(1, std::vector<PlannedJob>(5));
  const auto eta = [&] { return eta_s(world.state, world.state.sweeps().front()); };
  EXPECT_LT(eta(), 0) << "nothing finished yet";
  const WorkerId worker = world.join(World::offer("a", 2));
  world.report(worker, world.take(worker, 1));  // 2 s each
  EXPECT_DOUBLE_EQ(eta(), 4 * 2.0 / 2);
  for (std::uint64_t job = 2; job <= 5; ++job) world.report(worker, world.take(worker, job));
  EXPECT_DOUBLE_EQ(eta(), 0);
}

TEST(Eta, WhatWasLeasedAheadDoesNotRunYet) {
  World world;
  PlannedJob job;
  job.resources.cpus = 1;
  job.kind = spec::JobKind::kCommand;
  world.submit(1, std::vector<PlannedJob>(100, job));
  const WorkerId worker = world.join(World::offer("a", 2));
  constexpr int kDone = 10;
  for (int n = 0; n < kDone; ++n) {
    ReportEvent event;
    event.ref = world.held[worker.value].front();
    event.outcome.wall_s = 0.001;
    world.held[worker.value].erase(world.held[worker.value].begin());
    std::vector<ReportEvent> events;
    events.push_back(std::move(event));
    world.keep(on_report(world.state, world.now(), worker, std::move(events)));
  }
  ASSERT_GT(world.jobs_of(worker).size(), 2U);
  EXPECT_NEAR(eta_s(world.state, world.state.sweeps().front()), (100 - kDone) * 0.001 / 2, 1e-9);
}

TEST(Dump, ShowsJobsWorkersAndSweeps) {
  World world;
  world.submit(1, {{}, {.needs = {1}}});
  world.join(World::offer("a", 1));
  const Json dump = world.state.dump();
  EXPECT_EQ(dump["jobs"][0]["state"], "leased");
  EXPECT_EQ(dump["jobs"][1]["needs"], Json::array({1}));
  EXPECT_EQ(dump["workers"][0]["name"], "a");
  EXPECT_EQ(dump["sweeps"][0]["name"], "sweep1");
}

}  // namespace
}  // namespace gauntlet::engine
