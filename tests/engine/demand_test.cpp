#include "coordinator/engine/demand.hpp"

#include "tests/engine/world.hpp"

namespace gauntlet::engine {
namespace {

std::uint64_t n_ready(const World& world, std::size_t limit = 5000) {
  std::uint64_t n_jobs = 0;
  for (const ReadyJobs& ready : ready_jobs(world.state, limit)) n_jobs += ready.n_jobs;
  return n_jobs;
}

PlannedJob job_of(std::int64_t cpus) {
  PlannedJob job;
  job.resources.cpus = cpus;
  return job;
}

TEST(ReadyJobs, AreThoseThatFoundNoWorker) {
  World world;
  world.submit(1, std::vector<PlannedJob>(5, job_of(2)));
  EXPECT_EQ(n_ready(world), 5U);
  EXPECT_EQ(n_ready(world, 3), 3U);
  static_cast<void>(world.join(World::offer("w", 4, 64, 0)));
  EXPECT_EQ(n_ready(world), 3U);
}

TEST(ReadyJobs, ComeByShapeTheMoreImportantSweepFirst) {
  World world;
  world.submit(1, {job_of(1), job_of(8)});
  world.submit(2, {job_of(4)}, 5);
  const std::vector<ReadyJobs> ready = ready_jobs(world.state);
  ASSERT_EQ(ready.size(), 3U);
  EXPECT_EQ(world.state.shape(ready[0].shape).job.resources.cpus, 4);
  world.keep(on_pause(world.state, world.now(), SweepId{2}, true));
  EXPECT_EQ(ready_jobs(world.state).size(), 2U);
}

}  // namespace
}  // namespace gauntlet::engine
