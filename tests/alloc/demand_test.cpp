#include "coordinator/alloc/demand.hpp"

#include "tests/alloc/world.hpp"

namespace gauntlet::alloc {
namespace {

using testing::HasSubstr;

std::int64_t useful(const QueueSpec& spec, const std::vector<Demand>& demand) {
  return useful_allocations(spec, expected_offer(spec, true), demand);
}

TEST(Demand, FillsNodes) {
  const QueueSpec spec = slurm_spec();
  EXPECT_EQ(useful(spec, {}), 0);
  EXPECT_EQ(useful(spec, {jobs_of(1)}), 1);
  EXPECT_EQ(useful(spec, {jobs_of(3)}), 3);
  EXPECT_EQ(useful(spec, {jobs_of(5, 2)}), 3);                 // two of them side by side
  EXPECT_EQ(useful(spec, {jobs_of(2, 64)}), 2);                // each gets a whole node
  EXPECT_EQ(useful(spec, {jobs_of(2, 2), jobs_of(4, 1)}), 2);  // one node each
  EXPECT_EQ(useful(spec, {jobs_of(512, 0)}), 1);
  EXPECT_EQ(useful(spec, {jobs_of(513, 0)}), 2);
}

TEST(Demand, CountsNodesOfWideAllocations) {
  QueueSpec spec = slurm_spec();
  spec.nodes = 4;
  EXPECT_EQ(useful(spec, {jobs_of(4)}), 1);
  EXPECT_EQ(useful(spec, {jobs_of(5)}), 2);
}

TEST(Demand, ShortJobsShareAPlace) {
  const QueueSpec spec = slurm_spec();
  EXPECT_EQ(useful(spec, {jobs_of(120, 4, 1.0)}), 2);   // two minutes of work
  EXPECT_EQ(useful(spec, {jobs_of(3, 4, 7200.0)}), 3);  // long ones have one each
  EXPECT_EQ(useful(spec, {jobs_of(3, 4, 0.0)}), 1);
  QueueSpec eager = spec;
  eager.min_work_s = 0;
  EXPECT_EQ(useful(eager, {jobs_of(120, 4, 1.0)}), 120);
}

TEST(Demand, LeavesOutWhatDoesNotFitAndSaysWhy) {
  QueueSpec spec = slurm_spec();
  spec.memory_mb = 1000;
  const NodeOffer offer = expected_offer(spec, false);
  const auto why = [&](const Demand& demand) {
    EXPECT_EQ(useful_allocations(spec, offer, {demand}) == 0, !lack(spec, offer, demand).empty());
    return lack(spec, offer, demand);
  };
  EXPECT_EQ(why(jobs_of(1)), "");
  Demand demand = jobs_of(1);
  demand.resources.gpus = 2;
  EXPECT_EQ(why(demand), "a node has 0 gpus, 2 are asked for");
  demand.resources.or_else.push_back({.cpus = 4});  // a variant without
  EXPECT_EQ(why(demand), "");
  demand = jobs_of(1);
  demand.resources.memory_mb = 1001;
  EXPECT_EQ(why(demand), "a node has 1000 MiB of memory, 1001 are asked for");
  demand = jobs_of(1);
  demand.needs_torch = true;
  EXPECT_THAT(why(demand), HasSubstr("gauntlet-rank"));
  demand = jobs_of(1);
  demand.resources.labels["disk"] = "ssd";
  EXPECT_THAT(why(demand), HasSubstr("disk=ssd"));
  demand = jobs_of(1);
  demand.resources.time_s = 4 * 3600;  // longer than what is left once the margin is off
  EXPECT_THAT(why(demand), HasSubstr("a job may take 4h"));
}

TEST(Demand, IsTakenByAllocationsInOrder) {
  const QueueSpec spec = slurm_spec();
  const NodeOffer offer = expected_offer(spec, true);
  std::vector<Demand> demand{jobs_of(3), jobs_of(4, 2)};
  absorb(spec, offer, 4, demand);
  EXPECT_DOUBLE_EQ(demand[0].n_jobs, 0);
  EXPECT_DOUBLE_EQ(demand[1].n_jobs, 2);
  EXPECT_EQ(useful_allocations(spec, offer, demand), 1);
  absorb(spec, offer, 10, demand);
  EXPECT_EQ(useful_allocations(spec, offer, demand), 0);
}

}  // namespace
}  // namespace gauntlet::alloc
