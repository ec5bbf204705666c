// Short jobs are leased ahead of free cpus; nothing else is.
#include "tests/engine/world.hpp"

namespace gauntlet::engine {
namespace {

using testing::SizeIs;

constexpr double kShort = 0.002;

PlannedJob job_with(spec::Resources asked, spec::JobKind kind = spec::JobKind::kCommand) {
  PlannedJob job;
  job.resources = std::move(asked);
  job.kind = kind;
  return job;
}

/// Reports the first lease of the worker's hands as done after so long.
void finish_one(World& world, WorkerId worker, double wall_s = kShort) {
  std::vector<LeaseRef>& mine = world.held[worker.value];
  ASSERT_FALSE(mine.empty());
  ReportEvent event;
  event.ref = mine.front();
  event.outcome.wall_s = wall_s;
  mine.erase(mine.begin());
  std::vector<ReportEvent> events;
  events.push_back(std::move(event));
  world.keep(on_report(world.state, world.now(), worker, std::move(events)));
}

/// A worker of two cpus that has done so many short jobs of one cpu out of many.
WorkerId after_short_jobs(World& world, int n_jobs, spec::Resources asked = {.cpus = 1}) {
  const WorkerId worker = world.join(World::offer("worker", 2));
  world.submit(1, std::vector<PlannedJob>(200, job_with(asked)));
  for (int n = 0; n < n_jobs; ++n) finish_one(world, worker);
  return worker;
}

TEST(Ahead, OnlyJobsThatHaveBeenShort) {
  World world;
  const WorkerId worker = after_short_jobs(world, 7);
  EXPECT_THAT(world.jobs_of(worker), SizeIs(2)) << "not known yet";
  finish_one(world, worker);
  EXPECT_THAT(world.jobs_of(worker), SizeIs(2 + 2 * 20)) << "40 ms of each cpu";
  finish_one(world, worker, 3600);
  EXPECT_THAT(world.jobs_of(worker), SizeIs(2 * 20 + 1)) << "a long one: no more";
  for (int n = 0; n < 2 * 20 - 1 - 8; ++n) finish_one(world, worker, 0.1);
  EXPECT_THAT(world.jobs_of(worker), SizeIs(2 + 8));
}

TEST(Ahead, NoMoreThan32PerCpuHoweverShort) {
  World world;
  const WorkerId worker = world.join(World::offer("worker", 2, 200));
  world.submit(1, std::vector<PlannedJob>(200, job_with({.cpus = 1})));
  for (int n = 0; n < 8; ++n) finish_one(world, worker, kShort / 4);
  EXPECT_THAT(world.jobs_of(worker), SizeIs(2 + 2 * 32));
}

TEST(Ahead, AFailureOrALeaseGivenBackEndsIt) {
  World world;
  const WorkerId worker = after_short_jobs(world, 8);
  const std::size_t before = world.jobs_of(worker).size();
  const LeaseRef ref = world.held[worker.value].back();
  world.held[worker.value].pop_back();
  world.report(worker, ref, ErrorCode::kInterrupted);
  EXPECT_THAT(world.jobs_of(worker), SizeIs(before - 1));
  EXPECT_EQ(world.tag(ref.job.value), JobStateTag::kQueued) << "free of charge";
}

TEST(Ahead, NeverWhereMemoryOrADeviceIsWanting) {
  World world;
  const WorkerId worker = after_short_jobs(world, 20, {.cpus = 1, .memory_mb = 400});
  EXPECT_THAT(world.jobs_of(worker), SizeIs(2)) << "of 1000 MiB";
  World other;
  const WorkerId gpu = other.join(World::offer("gpu", 4, 64, 1));
  other.submit(1, std::vector<PlannedJob>(40, job_with({.cpus = 1, .gpus = 1})));
  for (int n = 0; n < 20; ++n) finish_one(other, gpu);
  EXPECT_THAT(other.jobs_of(gpu), SizeIs(1));
}

TEST(Ahead, CreditIsKept) {
  World world;
  const WorkerId worker = world.join(World::offer("worker", 2, 5));
  world.submit(1, std::vector<PlannedJob>(50, job_with({.cpus = 1})));
  for (int n = 0; n < 20; ++n) finish_one(world, worker);
  EXPECT_THAT(world.jobs_of(worker), SizeIs(5));
}

TEST(Ahead, AWideJobIsNotStarvedByThem) {
  World world;
  const WorkerId worker = after_short_jobs(world, 8);
  world.submit(2, {job_with({.cpus = 2}, spec::JobKind::kEvaluate)});
  const std::uint64_t wide = world.last_job;
  int n_before = 0;
  while (world.tag(wide) == JobStateTag::kQueued && n_before < 190) {
    finish_one(world, worker);
    ++n_before;
  }
  EXPECT_EQ(world.tag(wide), JobStateTag::kLeased);
  EXPECT_LT(n_before, 60) << "what was leased ahead, and a few that passed it";
}

TEST(Ahead, TheTimeLimitLeavesRoomForTheWait) {
  World world;
  const WorkerId worker = after_short_jobs(world, 8, {.cpus = 1, .time_s = 5});
  SteadyTime first = SteadyTime::max(), last{};
  for (const std::uint64_t id : world.jobs_of(worker)) {
    const SteadyTime deadline = std::get<Leased>(world.state.job(JobId{id}).state).deadline;
    first = std::min(first, deadline);
    last = std::max(last, deadline);
  }
  EXPECT_EQ(first, world.steady + std::chrono::seconds(5));
  EXPECT_EQ(last, world.steady + std::chrono::seconds(5) + world.state.config().ahead_wait);
}

TEST(Ahead, ARestartKeepsWhatWasLeasedAhead) {
  World world;
  const WorkerId worker = after_short_jobs(world, 8);
  const auto before = world.jobs_of(worker);
  world.restart();
  EXPECT_EQ(world.jobs_of(worker), before);
  EXPECT_LT(world.state.find_worker(worker)->free_cpus, 0);
}

}  // namespace
}  // namespace gauntlet::engine
