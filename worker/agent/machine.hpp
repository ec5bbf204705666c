// What this machine has to offer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace gauntlet::worker {

struct AgentGpu {
  std::uint32_t index = 0;  ///< as CUDA counts them
  std::string name;
  std::int64_t memory_mb = 0;
};

struct NumaNode {
  std::uint32_t index = 0;
  std::int64_t cpus = 0;
  std::int64_t memory_mb = 0;
};

/// Processors this process may run on, at least 1.
[[nodiscard]] std::int64_t usable_cpus();
/// Physical memory in MiB; 0 when it is not known.
[[nodiscard]] std::int64_t physical_memory_mb();
[[nodiscard]] std::string host_name();
/// How many processes the kernel has killed for want of memory, in this process's control group if it counts
/// them, else on this machine; 0 when it is not known. `root` is "/" but in tests.
[[nodiscard]] std::uint64_t oom_kills(const std::filesystem::path& root = "/");
/// By hwloc; empty when it cannot tell.
[[nodiscard]] std::vector<NumaNode> numa_nodes();
/// The NVIDIA GPUs of this machine, by nvidia-smi; none without a driver. Errors (kIo): there is a driver,
/// but its GPUs cannot be listed.
[[nodiscard]] Result<std::vector<AgentGpu>> list_gpus();
/// Reads the lines of `nvidia-smi --query-gpu=index,name,memory.total --format=csv,noheader,nounits`. Errors
/// (kCorrupt) show the line.
[[nodiscard]] Result<std::vector<AgentGpu>> gpus_from(std::string_view lines);

}  // namespace gauntlet::worker
