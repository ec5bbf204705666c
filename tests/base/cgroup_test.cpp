#include "core/base/cgroup.hpp"

#include <gmock/gmock.h>

#include "tests/support/temp_folder.hpp"

namespace gauntlet {
namespace {

class Cgroup : public testing::Test {
 protected:
  void file(const std::string& name, const std::string& text) const { folder_.write(name, text); }
  [[nodiscard]] CgroupLimits limits() const { return cgroup_limits(folder_.path()); }

  testing_support::TempFolder folder_;
};

TEST_F(Cgroup, NothingThereIsNoLimit) {
  EXPECT_FALSE(limits().cpus || limits().memory_bytes);
  file("proc/self/cgroup", "0::/\n");
  file("sys/fs/cgroup/cpu.max", "max 100000\n");
  file("sys/fs/cgroup/memory.max", "max\n");
  EXPECT_FALSE(limits().cpus || limits().memory_bytes);
}

TEST_F(Cgroup, TheStrictestGroupAboveCounts) {
  file("proc/self/cgroup", "0::/slice/job\n");
  file("sys/fs/cgroup/slice/cpu.max", "150000 100000\n");
  file("sys/fs/cgroup/slice/memory.max", "1000000\n");
  file("sys/fs/cgroup/slice/job/cpu.max", "400000 100000\n");
  file("sys/fs/cgroup/slice/job/memory.max", "500000\n");
  EXPECT_EQ(limits().cpus, 1.5);
  EXPECT_EQ(limits().memory_bytes, 500000U);
}

TEST_F(Cgroup, VersionOneHasAFolderPerController) {
  file("proc/self/cgroup", "9:name=systemd:/\n4:memory:/box/1\n2:cpuacct,cpu:/box\n");
  file("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  file("sys/fs/cgroup/memory/box/1/memory.limit_in_bytes", "2147483648\n");
  file("sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "50000\n");
  file("sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n");
  file("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  file("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(limits().cpus, 0.5);
  EXPECT_EQ(limits().memory_bytes, std::uint64_t{1} << 31);
}

TEST_F(Cgroup, AHostsPathInAContainerIsLookedForAtTheTop) {
  file("proc/self/cgroup", "0::/host/docker/abc\n");
  file("sys/fs/cgroup/memory.max", "12345678\n");
  EXPECT_EQ(limits().memory_bytes, 12345678U);
}

}  // namespace
}  // namespace gauntlet
