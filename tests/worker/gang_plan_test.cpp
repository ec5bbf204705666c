// How the ranks of a gang lie on machines.
#include <gmock/gmock.h>

#include "worker/agent/gangs.hpp"

namespace gauntlet::worker {
namespace {

using testing::ElementsAre;

void add_part(proto::Lease& lease, const std::string& address, std::uint32_t ranks,
              const std::vector<std::uint32_t>& gpus) {
  proto::GangPart& part = *lease.add_parts();
  part.set_address(address);
  part.set_ranks(ranks);
  for (const std::uint32_t gpu : gpus) part.add_gpus(gpu);
}

/// mpirun refuses a list of hosts that names one twice, and fills a host before it goes on to the next.
TEST(GangPlan, WorkersOfOneMachineAreOneNode) {
  proto::Lease lease;
  add_part(lease, "a", 1, {3});
  add_part(lease, "b", 2, {0, 1});
  add_part(lease, "a", 2, {5, 4});
  const GangPlan plan = plan_gang(lease, {}, "hosts");
  ASSERT_EQ(plan.layout.nodes.size(), 2U);
  EXPECT_EQ(plan.layout.nodes[0].address, "a");
  EXPECT_EQ(plan.layout.nodes[0].ranks, 3U);
  EXPECT_EQ(plan.layout.nodes[1].address, "b");
  EXPECT_EQ(plan.layout.nodes[1].ranks, 2U);
  EXPECT_EQ(plan.layout.world(), 5U);
  EXPECT_THAT(plan.gpus, ElementsAre(3U, 5U, 4U, 0U, 1U)) << "rank by rank, as the launcher numbers them";
}

TEST(GangPlan, RanksOnProcessorsHaveNoGpu) {
  proto::Lease lease;
  add_part(lease, "a", 1, {});
  add_part(lease, "b", 1, {});
  const GangPlan plan = plan_gang(lease, {}, "hosts");
  EXPECT_EQ(plan.layout.nodes.size(), 2U);
  EXPECT_THAT(plan.gpus, ElementsAre(std::nullopt, std::nullopt));
}

}  // namespace
}  // namespace gauntlet::worker
