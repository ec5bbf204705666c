// What a container or a batch system lets this process use, of what the machine has.
// Thread safety: pure reads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace gauntlet {

struct CgroupLimits {
  std::optional<double> cpus;                 ///< processors' worth of time, e.g. 2.5
  std::optional<std::uint64_t> memory_bytes;  ///< the process is killed above it
};

/// The strictest limits of this process's control groups, version 1 or 2, and of the groups above them;
/// nothing where there is none. `root` is "/" but in tests.
[[nodiscard]] CgroupLimits cgroup_limits(const std::filesystem::path& root = "/");

}  // namespace gauntlet
