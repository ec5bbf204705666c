#include "coordinator/engine/placement.hpp"

#include "tests/engine/world.hpp"

namespace gauntlet::engine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

spec::Resources ask(std::int64_t cpus, std::int64_t gpus = 0, std::int64_t memory_mb = 0) {
  return {.cpus = cpus, .gpus = gpus, .ranks = 1, .memory_mb = memory_mb, .time_s = 0};
}

std::vector<PlannedJob> many(std::size_t n, const PlannedJob& job) { return std::vector<PlannedJob>(n, job); }

TEST(Placement, FillsTheWorkersCpusInOrderOfSubmission) {
  World world;
  world.submit(1, many(6, {.resources = ask(1)}));
  const WorkerId worker = world.join(World::offer("a", 4));
  EXPECT_THAT(world.jobs_of(worker), ElementsAre(1U, 2U, 3U, 4U));
}

TEST(Placement, NeverExceedsTheCredit) {
  World world;
  world.submit(1, many(10, {.resources = ask(0)}));
  const WorkerId worker = world.join(World::offer("a", 4, 3));
  EXPECT_THAT(world.jobs_of(worker), ElementsAre(1U, 2U, 3U));
}

TEST(Placement, AJobAskingForMoreThreadsThanAWorkerHasGetsAllOfIt) {
  World world;
  world.submit(1, {{.resources = ask(16)}, {.resources = ask(1)}});
  const WorkerId worker = world.join(World::offer("a", 2));
  EXPECT_THAT(world.jobs_of(worker), ElementsAre(1U)) << "alone on the whole worker";
  world.report(worker, world.take(worker, 1));
  EXPECT_THAT(world.jobs_of(worker), ElementsAre(2U));
}

TEST(Placement, RespectsMemory) {
  World world;
  world.submit(
      1, {{.resources = ask(1, 0, 700)}, {.resources = ask(1, 0, 700)}, {.resources = ask(1, 0, 2000)}});
  const WorkerId worker = world.join(World::offer("a", 8));
  EXPECT_THAT(world.jobs_of(worker), ElementsAre(1U));
}

TEST(Placement, AGangGetsAllItsGpusOnOneWorkerOrNothing) {
  World world;
  const WorkerId one = world.join(World::offer("a", 8, 64, 2));
  const WorkerId two = world.join(World::offer("b", 8, 64, 2));
  world.submit(1, {{.resources = ask(1, 1)}, {.resources = ask(1, 2)}, {.resources = ask(1, 2)}});
  const auto with_first = world.jobs_of(one).empty() ? two : one;
  const auto with_second = world.jobs_of(one).empty() ? one : two;
  EXPECT_THAT(world.jobs_of(with_first), ElementsAre(1U)) << "one GPU left is no place for a gang of two";
  EXPECT_THAT(world.jobs_of(with_second), ElementsAre(2U));
  EXPECT_EQ(world.tag(3), JobStateTag::kQueued);
  EXPECT_EQ(world.gpus[world.take(with_second, 2).lease.value], 0b11U);
}

TEST(Placement, GpuJobsFillTheFullestWorkerSoThatWideGangsFindRoom) {
  World world;
  const WorkerId one = world.join(World::offer("a", 8, 64, 4));
  const WorkerId two = world.join(World::offer("b", 8, 64, 4));
  world.submit(1, {{.resources = ask(1, 1)}, {.resources = ask(1, 1)}, {.resources = ask(1, 4)}});
  EXPECT_EQ(world.jobs_of(one).size() + world.jobs_of(two).size(), 3U);
}

TEST(Placement, DevicesAreNotGivenTwice) {
  World world;
  const WorkerId worker = world.join(World::offer("a", 8, 64, 3));
  world.submit(1, many(3, {.resources = ask(0, 1)}));
  std::uint64_t all = 0;
  for (const std::uint64_t job : {1U, 2U, 3U}) all ^= world.gpus[world.take(worker, job).lease.value];
  EXPECT_EQ(all, 0b111U);
}

TEST(Placement, TakesTheHigherPriorityFirst) {
  World world;
  world.submit(1, many(2, {.resources = ask(1)}), 0);
  world.submit(2, many(2, {.resources = ask(1)}), 5);
  const WorkerId worker = world.join(World::offer("a", 2));
  EXPECT_THAT(world.jobs_of(worker), ElementsAre(3U, 4U));
}

TEST(Placement, ASharedJobHasTheBestPriorityOfItsSweeps) {
  World world;
  world.submit(1, many(3, {.resources = ask(1)}), 0);
  world.submit(2, {}, 9, {3});
  const WorkerId worker = world.join(World::offer("a", 1));
  EXPECT_THAT(world.jobs_of(worker), ElementsAre(3U));
}

TEST(Placement, SweepsOfEqualPriorityShareByCost) {
  World world;
  world.submit(1, many(40, {.resources = ask(1)}));
  world.submit(2, many(40, {.resources = ask(1)}));
  const WorkerId worker = world.join(World::offer("a", 10));
  std::array<int, 2> n_given{};
  for (const std::uint64_t job : world.jobs_of(worker)) ++n_given[job > 40 ? 1 : 0];
  EXPECT_THAT(n_given, ElementsAre(5, 5));
}

TEST(Placement, ALateSweepGetsItsShareButNoMore) {
  World world;
  world.submit(1, many(100, {.resources = ask(1)}));
  const WorkerId worker = world.join(World::offer("a", 4));
  for (std::uint64_t job = 1; job <= 20; ++job) world.report(worker, world.take(worker, job));
  world.submit(2, many(100, {.resources = ask(1)}));
  const std::set<std::uint64_t> before{21, 22, 23, 24};
  int n_late = 0;
  for (int n_ended = 0; n_ended < 20; ++n_ended) {
    const std::uint64_t job = world.jobs_of(worker).front();
    n_late += job > 100 ? 1 : 0;
    world.report(worker, world.take(worker, job));
  }
  EXPECT_GT(n_late, 0);
  const auto served = [&](std::size_t sweep) { return world.state.sweeps()[sweep].served; };
  EXPECT_NEAR(served(0), served(1), 2.0) << "what was served before its arrival is no debt";
}

TEST(Placement, ANewerJobOfAnotherShapeDoesNotWaitForOneThatDoesNotFit) {
  World world;
  const WorkerId worker = world.join(World::offer("a", 4));
  world.submit(1, {{.resources = ask(3)}, {.resources = ask(3)}, {.resources = ask(1)}});
  EXPECT_THAT(world.jobs_of(worker), ElementsAre(1U, 3U));
}

TEST(Placement, AWideJobBehindNarrowOnesIsNotStarved) {
  World world;
  const WorkerId worker = world.join(World::offer("a", 8));
  world.submit(1, many(8, {.resources = ask(1)}));  // ids 1 to 8 run
  world.submit(1, {{.resources = ask(8)}});         // id 9 waits for all of the worker
  world.submit(1, many(200, {.resources = ask(1)}));
  int n_ended = 0;
  while (world.tag(9) == JobStateTag::kQueued) {
    const std::vector<std::uint64_t> running = world.jobs_of(worker);
    ASSERT_THAT(running, testing::Not(IsEmpty()));
    world.report(worker, world.take(worker, running.back()));
    ASSERT_LT(++n_ended, 30) << "the wide job starves";
  }
  EXPECT_THAT(world.jobs_of(worker), ElementsAre(9U));
  EXPECT_LE(world.last_job - 200, 9U);
  int n_overtook = 0;
  for (std::uint64_t job = 10; job <= world.last_job; ++job)
    n_overtook += world.tag(job) == JobStateTag::kDone ? 1 : 0;
  EXPECT_LE(n_overtook, static_cast<int>(world.state.config().max_overtakes));
}

TEST(Placement, AnEightGpuJobIsNotStarvedByJobsOfAnotherSweep) {
  World world;
  const WorkerId worker = world.join(World::offer("a", 64, 64, 8));
  world.submit(1, many(300, {.resources = ask(1, 1)}));
  world.submit(2, {{.resources = ask(8, 8)}});
  const std::uint64_t wide = world.last_job;
  int n_ended = 0;
  while (world.tag(wide) == JobStateTag::kQueued) {
    world.report(worker, world.take(worker, world.jobs_of(worker).back()));
    ASSERT_LT(++n_ended, 60) << "the wide job starves";
  }
  EXPECT_THAT(world.jobs_of(worker), ElementsAre(wide));
}

TEST(Placement, ManyWideJobsKeepSeveralWorkersUpToHalfOfThem) {
  constexpr std::size_t kWorkers = 4;
  constexpr std::uint64_t kWide = 12;
  World world;
  std::vector<WorkerId> workers;
  for (std::size_t at = 0; at < kWorkers; ++at)
    workers.push_back(world.join(World::offer(fmt::format("w{}", at), 64, 64, 8)));
  world.submit(1, many(8 * kWorkers, {.resources = ask(1, 1)}));
  world.submit(1, many(kWide, {.resources = ask(1, 8)}));
  const std::uint64_t first_late = world.last_job + 1;
  world.submit(1, many(600, {.resources = ask(1, 1)}));
  std::size_t n_kept = 0;
  for (std::size_t turn = 0; world.tag(first_late - 1) == JobStateTag::kQueued; ++turn) {
    ASSERT_LT(turn, 600U) << "the last wide job starves";
    const WorkerId worker = workers[turn % kWorkers];
    const std::vector<std::uint64_t> running = world.jobs_of(worker);
    if (!running.empty()) world.report(worker, world.take(worker, running.front()));
    for (const ReadyQueue& queue : world.state.sweeps()[0].queues)
      n_kept = std::max(n_kept, queue.reserved.size());
  }
  std::uint64_t n_overtook = 0;
  for (std::uint64_t job = first_late; job <= world.last_job; ++job)
    n_overtook += world.tag(job) == JobStateTag::kQueued ? 0 : 1;
  // Each of them may be passed by so many; then as many as run until the two kept workers are empty.
  EXPECT_LE(n_overtook, kWide * world.state.config().max_overtakes + 8 * kWorkers);
  EXPECT_EQ(n_kept, kWorkers / 2);
}

TEST(Placement, AReservationServesEverySweepWithSuchJobs) {
  World world;
  world.submit(1, many(20, {.resources = ask(1)}));
  world.submit(2, {{.resources = ask(4)}});
  world.submit(3, {{.resources = ask(4)}});
  const WorkerId worker = world.join(World::offer("a", 4));
  for (int n_ended = 0; n_ended < 22; ++n_ended) {
    ASSERT_THAT(world.jobs_of(worker), testing::Not(IsEmpty()))
        << "everything waits for a reservation nobody may use";
    world.report(worker, world.take(worker, world.jobs_of(worker).back()));
  }
  EXPECT_EQ(world.state.counts()[static_cast<std::size_t>(JobStateTag::kDone)], 22U);
}

TEST(Placement, AReservationLetsPassWhatItDoesNotNeed) {
  World world;
  const WorkerId worker = world.join(World::offer("a", 8, 64, 1));
  world.submit(1, {{.resources = ask(0, 1)}});
  world.submit(1, {{.resources = ask(8)}, {.resources = ask(8)}});
  world.submit(1, many(40, {.resources = ask(0)}));
  EXPECT_EQ(world.tag(2), JobStateTag::kLeased);
  for (std::uint64_t job = 4; job <= 40; ++job) world.report(worker, world.take(worker, job));
  EXPECT_EQ(world.tag(43), JobStateTag::kLeased) << "jobs without cpus are not held back by a wait for cpus";
}

TEST(Placement, AWorkerThatNeedNotBeKeptAnyMoreIsGivenWorkAtOnce) {
  World world({.max_overtakes = 1});
  const WorkerId wide = world.join(World::offer("wide", 8, 64, 1));
  const WorkerId plain = world.join(World::offer("plain", 4));
  world.submit(1, {{.resources = ask(4)}, {.resources = ask(8)}});  // ids 1 and 2 fill both
  world.submit(3, {{.resources = ask(4)}});                         // id 3 waits
  world.submit(1, {{.resources = ask(0)}});                         // and is passed, so that a worker is kept
  world.submit(2, {{.resources = ask(6, 1)}});                      // id 5, for which only one worker will do
  world.keep(on_cancel(world.state, world.now(), {JobId{1}, JobId{2}}, {}, ""));
  EXPECT_THAT(world.jobs_of(plain), testing::Contains(3U));
  EXPECT_THAT(world.jobs_of(wide), testing::Contains(5U)) << "kept for a job that went elsewhere";
}

TEST(Placement, EntriesMustMatchByNameAndVersion) {
  World world;
  world.submit(1, {{.kind = spec::JobKind::kCraft, .entry = "pgd", .version = 2}});
  WorkerOffer old = World::offer("old", 2);
  old.entries = {{"attack", "pgd", 1}, {"defense", "pgd", 2}};
  EXPECT_THAT(world.jobs_of(world.join(old)), IsEmpty());
  WorkerOffer current = World::offer("new", 2);
  current.entries = {{"attack", "pgd", 2}};
  EXPECT_THAT(world.jobs_of(world.join(current)), ElementsAre(1U));
}

TEST(Placement, JobsThatNeedTorchGoWhereItIs) {
  World world;
  world.submit(1, {{.kind = spec::JobKind::kTrainModel}, {.kind = spec::JobKind::kEvaluate}});
  WorkerOffer plain = World::offer("plain", 4);
  plain.has_torch = false;
  EXPECT_THAT(world.jobs_of(world.join(plain)), ElementsAre(2U));
}

TEST(Placement, JobsWithoutResourcesGoRoundTheWorkers) {
  World world;
  const WorkerId one = world.join(World::offer("a", 1, 100));
  const WorkerId two = world.join(World::offer("b", 1, 100));
  world.submit(1, many(40, {.resources = ask(0)}));
  EXPECT_THAT(world.jobs_of(one), SizeIs(20));
  EXPECT_THAT(world.jobs_of(two), SizeIs(20));
}

TEST(Placement, SixtyThousandJobsArePlacedWithoutLookingAtThemAll) {
  World world;
  SubmitOutcome outcome;
  outcome.sweep.id = SweepId{1};
  outcome.rows.shapes.push_back(
      {.kind = spec::JobKind::kNoop, .entry = "", .version = 0, .resources = ask(0)});
  for (std::uint64_t id = 1; id <= 60000; ++id) {
    outcome.rows.jobs.push_back(
        {.id = JobId{id}, .state = JobStateTag::kQueued, .last_attempt = {}, .culprit = {}});
    outcome.rows.members.push_back({SweepId{1}, JobId{id}});
  }
  ASSERT_TRUE(on_submit(world.state, world.now(), outcome));
  Decision decision = on_worker_joined(world.state, world.now(), {World::offer("a", 1, 128), {}});
  std::uint64_t n_done = 0;
  WorkerId worker;
  while (n_done < 60000) {
    std::vector<ReportEvent> reports;
    for (const Outgoing& message : decision.messages) {
      const auto* leases = std::get_if<GiveLeases>(&message);
      if (leases == nullptr) continue;
      worker = leases->worker;
      for (const LeaseGrant& grant : leases->grants) {
        ReportEvent event;
        event.ref = {grant.job, grant.lease, grant.attempt};
        reports.push_back(std::move(event));
      }
    }
    ASSERT_FALSE(reports.empty());
    n_done += reports.size();
    decision = on_report(world.state, world.now(), worker, std::move(reports));
  }
  EXPECT_EQ(world.state.counts()[static_cast<std::size_t>(JobStateTag::kDone)], 60000U);
  const Status status = world.state.check_invariants();
  EXPECT_TRUE(status) << status.error().message;
}

}  // namespace
}  // namespace gauntlet::engine
