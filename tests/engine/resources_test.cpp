// Variants, labels, lifetimes: which worker a job may go to, and what explain says of it.
#include "coordinator/engine/explain.hpp"
#include "tests/engine/world.hpp"

namespace gauntlet::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// 1 GPU and 1 cpu, or 8 cpus.
spec::Resources gpu_or_cpus() {
  spec::Resources asked{.cpus = 1, .gpus = 1};
  asked.or_else = {{.cpus = 8, .gpus = 0}};
  return asked;
}

PlannedJob job_of(spec::Resources asked) {
  PlannedJob job;
  job.resources = std::move(asked);
  return job;
}

std::vector<std::string> why(const World& world, std::uint64_t job) {
  return explain(world.state, JobId{job}, world.now(),
                 [](JobId id) { return fmt::format("job {}", id.value); });
}

TEST(Variants, TheFirstThatFitsIsTaken) {
  World world;
  const WorkerId both = world.join(World::offer("both", 16, 64, 1));
  world.submit(1, std::vector<PlannedJob>(3, job_of(gpu_or_cpus())));
  EXPECT_THAT(world.jobs_of(both), ElementsAre(1U, 2U))
      << "one on the GPU, one on cpus, none left for a third";
  EXPECT_EQ(world.gpus[world.take(both, 1).lease.value], 1U);
  const LeaseRef on_cpus = world.take(both, 2);
  EXPECT_EQ(world.gpus[on_cpus.lease.value], 0U);
  EXPECT_EQ(world.state.find_worker(both)->free_cpus, 16 - 1 - 8);
  world.report(both, on_cpus);
  EXPECT_THAT(world.jobs_of(both), ElementsAre(1U, 3U));
}

TEST(Variants, AWorkerWithoutGpusServesTheSecond) {
  World world;
  const WorkerId plain = world.join(World::offer("plain", 8));
  world.submit(1, {job_of(gpu_or_cpus())});
  EXPECT_THAT(world.jobs_of(plain), ElementsAre(1U));
}

TEST(Variants, ALeaseKeepsItsVariantOverARestart) {
  World world;
  const WorkerId plain = world.join(World::offer("plain", 8));
  world.submit(1, {job_of(gpu_or_cpus())});
  ASSERT_THAT(world.jobs_of(plain), ElementsAre(1U));
  world.restart();
  EXPECT_EQ(world.state.find_worker(plain)->free_cpus, 0) << "8 cpus, not the 1 beside a GPU";
}

TEST(Variants, AStarvedJobKeepsAWorkerForTheVariantItCanHave) {
  World world;
  const WorkerId plain = world.join(World::offer("plain", 8));
  world.submit(1, std::vector<PlannedJob>(8, job_of({.cpus = 1})));
  world.submit(1, {job_of(gpu_or_cpus())});
  world.submit(1, std::vector<PlannedJob>(100, job_of({.cpus = 1})));
  int n_ended = 0;
  while (world.tag(9) == JobStateTag::kQueued) {
    world.report(plain, world.take(plain, world.jobs_of(plain).back()));
    ASSERT_LT(++n_ended, 30) << "the wide variant starves";
  }
  EXPECT_THAT(world.jobs_of(plain), ElementsAre(9U));
}

TEST(KnownJobs, TakeTheResourcesOfASweepThatIsHandedInAgain) {
  World world;
  world.submit(1, {job_of({.cpus = 1, .memory_mb = 9000}), job_of({.cpus = 1})});
  const WorkerId plain = world.join(World::offer("plain", 8));
  ASSERT_THAT(world.jobs_of(plain), ElementsAre(2U)) << "the first asks for more memory than there is";
  world.submit(1, {}, 0, {1, 2}, {{1, {.cpus = 3, .memory_mb = 500}}, {2, {.cpus = 5}}});
  EXPECT_THAT(world.jobs_of(plain), ElementsAre(1U, 2U));
  EXPECT_EQ(world.state.find_worker(plain)->free_cpus, 8 - 3 - 1) << "what runs keeps what it has";
  EXPECT_EQ(world.books.plans[2].resources.cpus, 1);
  world.restart();
  EXPECT_EQ(world.state.find_worker(plain)->free_cpus, 8 - 3 - 1);
}

TEST(KnownJobs, AFailedOneIsTriedAgainWithOtherResources) {
  World world;
  const WorkerId plain = world.join(World::offer("plain", 8));
  world.submit(1, {job_of({.cpus = 1, .memory_mb = 100})});
  world.report(plain, world.take(plain, 1), ErrorCode::kOutOfMemory);
  ASSERT_EQ(world.tag(1), JobStateTag::kFailed);
  world.submit(1, {}, 0, {1}, {{1, {.cpus = 1, .memory_mb = 800}}});
  EXPECT_EQ(world.tag(1), JobStateTag::kFailed) << "only a retry runs it again";
  world.keep(on_retry(world.state, world.now(), {JobId{1}}));
  EXPECT_EQ(world.state.find_worker(plain)->free_memory_mb, 1000 - 800);
}

TEST(Labels, AreRequirements) {
  World world;
  spec::Resources asked{.cpus = 1};
  asked.labels = {{"disk", "ssd"}, {"site", "north"}};
  world.submit(1, {job_of(asked)});
  WorkerOffer offer = World::offer("a", 4);
  EXPECT_THAT(world.jobs_of(world.join(offer)), IsEmpty());
  EXPECT_THAT(why(world, 1),
              ElementsAre(AllOf(HasSubstr("none of 1 worker can run it"), HasSubstr("label disk=ssd")),
                          "worker a has no label disk, ssd is asked for"));
  offer.labels = {{"disk", "ssd"}, {"site", "south"}};
  const WorkerId worker = world.join(offer);
  EXPECT_THAT(why(world, 1).back(), "worker a has the label site=south, north is asked for");
  offer.labels["site"] = "north";
  world.join(offer);
  EXPECT_THAT(world.jobs_of(worker), ElementsAre(1U)) << "the labels of its latest connection count";
}

TEST(Lifetime, AJobThatMayTakeLongerThanIsLeftIsNotStarted) {
  World world;
  WorkerOffer offer = World::offer("a", 4);
  offer.ends = world.steady + std::chrono::minutes(30);
  const WorkerId worker = world.join(offer);
  world.submit(
      1, {job_of({.cpus = 1, .time_s = 3600}), job_of({.cpus = 1, .time_s = 1800}), job_of({.cpus = 1})});
  EXPECT_THAT(world.jobs_of(worker), ElementsAre(2U, 3U)) << "what has no limit starts anywhere";
  EXPECT_THAT(why(world, 1), ElementsAre(AllOf(HasSubstr("the nearest worker, a, leaves in"),
                                               HasSubstr("and the job may take"))));
  world.advance(std::chrono::minutes(1));
  world.submit(1, {job_of({.cpus = 1, .time_s = 1800})});
  EXPECT_EQ(world.tag(4), JobStateTag::kQueued) << "29 minutes are left";
  const WorkerId lasting = world.join(World::offer("b", 4));
  EXPECT_THAT(world.jobs_of(lasting), ElementsAre(1U, 4U));
}

/// The worker's time is over: it gives back what runs, and leaves.
void leave(World& world, WorkerId worker, std::uint64_t job) {
  const LeaseRef ref = world.take(worker, job);
  world.keep(on_drain(world.state, world.now(), worker));
  world.report(worker, ref, ErrorCode::kInterrupted);
  world.keep(on_worker_left(world.state, world.now(), worker));
}

TEST(Lifetime, AJobThatWasCutOffIsNotStartedWhereLessTimeIsLeft) {
  World world;
  WorkerOffer offer = World::offer("a", 4);
  offer.ends = world.steady + std::chrono::hours(1);
  const WorkerId first = world.join(offer);
  world.submit(1, {job_of({.cpus = 1}), job_of({.cpus = 1})});
  world.report(first, world.take(first, 2));
  world.advance(std::chrono::minutes(59));
  leave(world, first, 1);
  world.submit(1, {job_of({.cpus = 1})});
  offer = World::offer("b", 4);
  offer.ends = world.steady + std::chrono::minutes(58);
  const WorkerId second = world.join(offer);
  EXPECT_THAT(world.jobs_of(second), ElementsAre(3U)) << "others of its kind start anywhere";
  EXPECT_THAT(why(world, 1), ElementsAre(HasSubstr("begins anew when it is cut off, as it was after 59m")));
  const WorkerId lasting = world.join(World::offer("c", 4));
  EXPECT_THAT(world.jobs_of(lasting), ElementsAre(1U));
  world.report(lasting, world.take(lasting, 1));
  EXPECT_EQ(world.tag(1), JobStateTag::kDone);
}

TEST(Lifetime, ATrainingThatWasCutOffGoesOnWithWhatTimeThereIs) {
  World world;
  WorkerOffer offer = World::offer("a", 4);
  offer.ends = world.steady + std::chrono::hours(1);
  const WorkerId first = world.join(offer);
  PlannedJob training = job_of({.cpus = 1});
  training.kind = spec::JobKind::kTrainModel;
  world.submit(1, {training});
  world.advance(std::chrono::minutes(59));
  leave(world, first, 1);
  offer.agent_id = "b";
  offer.ends = world.steady + std::chrono::minutes(10);
  const WorkerId second = world.join(offer);
  EXPECT_THAT(world.jobs_of(second), ElementsAre(1U));
}

TEST(Lifetime, NoWorkerIsKeptForAJobItCannotFinish) {
  World world({.max_overtakes = 1});
  WorkerOffer offer = World::offer("a", 4);
  offer.ends = world.steady + std::chrono::seconds(10);
  const WorkerId worker = world.join(offer);
  world.submit(1, {job_of({.cpus = 4, .time_s = 60})});
  world.submit(1, std::vector<PlannedJob>(20, job_of({.cpus = 1})));
  for (std::uint64_t job = 2; job <= 21; ++job) world.report(worker, world.take(worker, job));
  EXPECT_EQ(world.state.counts()[static_cast<std::size_t>(JobStateTag::kDone)], 20U);
}

TEST(Explain, NamesWhatTheNearestVariantLacks) {
  World world;
  world.join(World::offer("plain", 8));
  world.submit(1, {job_of({.cpus = 4}), job_of(gpu_or_cpus())});
  ASSERT_EQ(world.tag(2), JobStateTag::kQueued);
  EXPECT_THAT(why(world, 2), ElementsAre("the nearest worker, plain, has 4 of 8 cpus free, 8 are needed"));
}

}  // namespace
}  // namespace gauntlet::engine
