// Gangs that fit no single worker: over several at once or not at all, and over whenever one of them is lost.
#include "coordinator/engine/spread.hpp"

#include "coordinator/engine/explain.hpp"
#include "tests/engine/world.hpp"

namespace gauntlet::engine {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

PlannedJob gang(std::int64_t gpus, std::int64_t cpus = 1, std::int64_t ranks = 1) {
  return {.resources = {.cpus = cpus, .gpus = gpus, .ranks = ranks, .memory_mb = 0, .time_s = 0},
          .kind = spec::JobKind::kTrainModel};
}

WorkerOffer node(const std::string& name, std::int64_t gpus, const std::string& reach = "mpirun",
                 std::int64_t cpus = 8) {
  WorkerOffer offer = World::offer(name, cpus, 64, gpus);
  offer.reach = reach;
  return offer;
}

std::vector<std::pair<std::uint64_t, std::uint32_t>> parts_of(const World& world, std::uint64_t job) {
  std::vector<std::pair<std::uint64_t, std::uint32_t>> parts;
  for (const GangPart& part : world.state.gang(JobId{job})) parts.emplace_back(part.worker.value, part.ranks);
  return parts;
}

std::string reasons(World& world, std::uint64_t job) {
  std::string all;
  for (const std::string& reason :
       explain(world.state, JobId{job}, world.now(), [](JobId) { return std::string("?"); }))
    all += reason + "\n";
  return all;
}

TEST(Spread, AGangLargerThanAnyWorkerGoesOverSeveral) {
  World world;
  const WorkerId one = world.join(node("one", 4));
  const WorkerId two = world.join(node("two", 4));
  world.submit(1, {gang(6)});
  ASSERT_EQ(world.tag(1), JobStateTag::kLeased);
  EXPECT_THAT(parts_of(world, 1), ElementsAre(std::pair(one.value, 4U), std::pair(two.value, 2U)));
  EXPECT_EQ(world.state.find_worker(two)->free_gpus, 0b1100U);
  EXPECT_THAT(reasons(world, 1), HasSubstr("4 ranks on worker one\n2 ranks on worker two\n"));
  world.report(one, world.take(one, 1));
  EXPECT_EQ(world.tag(1), JobStateTag::kDone);
  EXPECT_EQ(world.state.find_worker(two)->free_gpus, 0b1111U);
}

TEST(Spread, AGangThatFitsOneWorkerStaysWhole) {
  World world;
  world.join(node("one", 4));
  world.join(node("two", 8));
  world.submit(1, {gang(6)});
  EXPECT_EQ(world.tag(1), JobStateTag::kLeased);
  EXPECT_THAT(parts_of(world, 1), IsEmpty());
}

TEST(Spread, RanksOnCpusAreSpreadWhereOneWorkerIsTooSmall) {
  World world;
  const WorkerId one = world.join(node("one", 0, "mpirun", 1));
  world.submit(1, {gang(0, 2, 2)});
  EXPECT_EQ(world.tag(1), JobStateTag::kLeased) << "alone it gets the whole of a small worker";
  world.report(one, world.take(one, 1));
  const WorkerId two = world.join(node("two", 0, "mpirun", 1));
  world.submit(1, {gang(0, 2, 2)});
  EXPECT_THAT(parts_of(world, 2), ElementsAre(std::pair(one.value, 1U), std::pair(two.value, 1U)));
}

TEST(Spread, OnlyWorkersOfOneReachShareAGang) {
  World world;
  world.join(node("one", 4, "srun 7"));
  world.join(node("two", 4, "srun 8"));
  world.join(node("three", 4, ""));
  world.submit(1, {gang(6)});
  EXPECT_EQ(world.tag(1), JobStateTag::kQueued);
  EXPECT_THAT(reasons(world, 1),
              HasSubstr("1 worker reached by srun 7 could hold 4 of its 6 ranks together"));
  world.join(node("four", 2, "srun 8"));
  EXPECT_EQ(world.tag(1), JobStateTag::kLeased);
}

TEST(Spread, ExplainSaysThatNoLauncherReachesSeveralMachines) {
  World world;
  world.join(node("one", 4, ""));
  world.join(node("two", 4, ""));
  world.submit(1, {gang(6)});
  EXPECT_EQ(world.tag(1), JobStateTag::kQueued);
  EXPECT_THAT(reasons(world, 1), HasSubstr("no launcher of these workers reaches several machines"));
  EXPECT_THAT(reasons(world, 1), HasSubstr("--launcher mpirun"));
}

TEST(Spread, ALostMemberEndsTheGangAndItsLeadIsTold) {
  World world;
  const WorkerId one = world.join(node("one", 4));
  const WorkerId two = world.join(node("two", 4));
  world.submit(1, {gang(8)});
  const LeaseRef ref = world.take(one, 1);
  world.keep(on_worker_left(world.state, world.now(), two));
  world.advance(Milliseconds(1500));
  const Decision decision = world.keep(on_tick(world.state, world.now()));
  EXPECT_EQ(world.tag(1), JobStateTag::kQueued);
  EXPECT_EQ(world.state.find_worker(one)->free_gpus, 0b1111U);
  bool told = false;
  for (const Outgoing& message : decision.messages) {
    const auto* stop = std::get_if<StopLeases>(&message);
    if (stop == nullptr) continue;
    EXPECT_EQ(stop->worker, one);
    EXPECT_EQ(stop->attempts.front().lease, ref.lease);
    EXPECT_THAT(stop->reason, HasSubstr("worker two of its gang: lost"));
    told = true;
  }
  EXPECT_TRUE(told);
}

TEST(Spread, ALostLeadFreesTheOthers) {
  World world;
  const WorkerId one = world.join(node("one", 4));
  const WorkerId two = world.join(node("two", 4));
  world.submit(1, {gang(8)});
  world.keep(on_worker_left(world.state, world.now(), one));
  world.advance(Milliseconds(1500));
  world.keep(on_tick(world.state, world.now()));
  EXPECT_EQ(world.state.find_worker(two)->free_gpus, 0b1111U);
  EXPECT_THAT(world.state.find_worker(two)->parts, IsEmpty());
}

TEST(Spread, ARestartKeepsTheGang) {
  World world;
  const WorkerId one = world.join(node("one", 4));
  const WorkerId two = world.join(node("two", 4));
  world.submit(1, {gang(8)});
  const LeaseRef ref = world.take(one, 1);
  world.restart();
  EXPECT_THAT(parts_of(world, 1), ElementsAre(std::pair(one.value, 4U), std::pair(two.value, 4U)));
  world.join(node("one", 4), {ref});
  world.join(node("two", 4));
  EXPECT_EQ(world.tag(1), JobStateTag::kLeased);
  EXPECT_EQ(world.state.find_worker(two)->free_gpus, 0U);
  world.report(one, ref);
  EXPECT_EQ(world.tag(1), JobStateTag::kDone);
}

/// A stream of small jobs on both workers, and a gang that needs both whole.
TEST(Spread, AGangOverAllWorkersIsNotStarvedBySmallJobs) {
  World world;
  const std::vector<WorkerId> workers = {world.join(node("one", 4)), world.join(node("two", 4))};
  world.submit(1, std::vector<PlannedJob>(8, gang(1)));
  world.submit(2, {gang(8)});
  const std::uint64_t wanted = world.last_job;
  int n_rounds = 0;
  for (; world.tag(wanted) != JobStateTag::kLeased && n_rounds < 200; ++n_rounds) {
    world.submit(1, {gang(1), gang(1)});
    const WorkerId worker = workers[static_cast<std::size_t>(n_rounds) % 2];
    if (world.held[worker.value].empty()) continue;
    const LeaseRef ref = world.held[worker.value].front();
    world.report(worker, world.take(worker, ref.job.value));
  }
  EXPECT_EQ(world.tag(wanted), JobStateTag::kLeased);
  EXPECT_LT(n_rounds, 100);
}

TEST(Spread, TwoGangsDoNotHoldHalfOfTheWorkersEach) {
  World world;
  std::vector<WorkerId> workers;
  for (const char* name : {"a", "b", "c", "d"}) workers.push_back(world.join(node(name, 4)));
  world.submit(1, std::vector<PlannedJob>(16, gang(1)));
  world.submit(2, {gang(16)});
  const std::uint64_t first = world.last_job;
  world.submit(3, {gang(16)});
  const std::uint64_t second = world.last_job;
  int n_placed = 0;
  for (int round = 0; round < 2000 && n_placed < 2; ++round) {
    world.submit(1, {gang(1)});
    for (const WorkerId worker : workers) {
      if (world.held[worker.value].empty()) continue;
      const LeaseRef ref = world.held[worker.value].front();
      n_placed += ref.job.value == first || ref.job.value == second ? 1 : 0;
      world.report(worker, world.take(worker, ref.job.value));
    }
  }
  EXPECT_EQ(n_placed, 2);
}

}  // namespace
}  // namespace gauntlet::engine
