#include "core/proto/address.hpp"

#include <gmock/gmock.h>

namespace gauntlet::proto {
namespace {

TEST(Address, ACoordinatorElsewhereIsReachedByItsMachinesName) {
  EXPECT_EQ(coordinator_host({{"host", "10.0.0.5"}}), "10.0.0.5");
  EXPECT_EQ(coordinator_host({{"host", "127.0.0.1"}, {"machine", machine_name()}}), "127.0.0.1");
  EXPECT_EQ(coordinator_host({{"host", "127.0.0.1"}, {"machine", "another-node"}}), "another-node");
  EXPECT_EQ(coordinator_host({{"host", "127.0.0.1"}, {"machine", 7}}), "127.0.0.1");
}

}  // namespace
}  // namespace gauntlet::proto
