#include "worker/agent/machine.hpp"

#include <hwloc.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <optional>
#include <sstream>

#include "core/base/files.hpp"

namespace gauntlet::worker {
namespace {

/// The number behind "oom_kill" in a file of "name number" lines.
std::optional<std::uint64_t> oom_kills_in(const std::filesystem::path& file) {
  const Result<std::string> text = read_file(file, 1 << 16);
  if (!text) return std::nullopt;
  std::istringstream words(*text);
  std::string name;
  for (std::uint64_t number = 0; words >> name >> number;) {
    if (name == "oom_kill") return number;
  }
  return std::nullopt;
}

}  // namespace

std::int64_t usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max<std::int64_t>(1, ::sysconf(_SC_NPROCESSORS_ONLN));
}

std::int64_t physical_memory_mb() {
  const std::int64_t pages = ::sysconf(_SC_PHYS_PAGES);
  const std::int64_t page_bytes = ::sysconf(_SC_PAGESIZE);
  return pages > 0 && page_bytes > 0 ? pages * page_bytes / (1 << 20) : 0;
}

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 && name[0] != '\0' ? name : "localhost";
}

std::uint64_t oom_kills(const std::filesystem::path& root) {
  const std::filesystem::path groups = root / "sys/fs/cgroup";
  const Result<std::string> mine = read_file(root / "proc/self/cgroup", 1 << 16);
  std::istringstream lines(mine.value_or(""));
  for (std::string line; std::getline(lines, line);) {  // "4:memory:/group", "0::/group"
    std::optional<std::uint64_t> number;
    if (line.starts_with("0::/")) {
      number = oom_kills_in(groups / line.substr(4) / "memory.events");
    } else if (const std::size_t at = line.find(":memory:/"); at != std::string::npos) {
      number = oom_kills_in(groups / "memory" / line.substr(at + 9) / "memory.oom_control");
    }
    if (number) return *number;
  }
  return oom_kills_in(root / "proc/vmstat").value_or(0);
}

std::vector<NumaNode> numa_nodes() {
  hwloc_topology_t made = nullptr;
  if (hwloc_topology_init(&made) != 0) return {};
  const std::unique_ptr<hwloc_topology, decltype(&hwloc_topology_destroy)> topology(made,
                                                                                    &hwloc_topology_destroy);
  if (hwloc_topology_load(made) != 0) return {};
  std::vector<NumaNode> nodes;
  const int n_nodes = hwloc_get_nbobjs_by_type(made, HWLOC_OBJ_NUMANODE);
  for (int at = 0; at < n_nodes; ++at) {
    const hwloc_obj_t node = hwloc_get_obj_by_type(made, HWLOC_OBJ_NUMANODE, static_cast<unsigned>(at));
    nodes.push_back({node->os_index, std::max(0, hwloc_bitmap_weight(node->cpuset)),
                     static_cast<std::int64_t>(node->attr->numanode.local_memory >> 20)});
  }
  return nodes;
}

Result<std::vector<AgentGpu>> gpus_from(std::string_view lines) {
  std::vector<AgentGpu> gpus;
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(lines.size(), line.size() + 1));
    if (line.empty()) continue;
    const std::size_t first = line.find(", ");
    const std::size_t last = line.rfind(", ");
    AgentGpu gpu;
    const auto number = [](std::string_view text, auto& value) {
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      return error == std::errc{} && end == text.data() + text.size();
    };
    const bool read = first != std::string_view::npos && last > first &&
                      number(line.substr(0, first), gpu.index) &&
                      number(line.substr(last + 2), gpu.memory_mb);
    if (!read) return fail(ErrorCode::kCorrupt, "nvidia-smi says '{}', which is no GPU", line);
    gpu.name = line.substr(first + 2, last - first - 2);
    gpus.push_back(std::move(gpu));
  }
  return gpus;
}

Result<std::vector<AgentGpu>> list_gpus() {
  std::error_code ignored;
  if (!std::filesystem::exists("/proc/driver/nvidia/version", ignored)) return std::vector<AgentGpu>();
  constexpr const char* kCommand =
      "timeout 20 nvidia-smi --query-gpu=index,name,memory.total --format=csv,noheader,nounits 2>&1";
  std::string said;
  std::array<char, 4096> block{};
  ::FILE* const pipe = ::popen(kCommand, "r");
  if (pipe == nullptr) return fail(ErrorCode::kIo, "nvidia-smi does not start");
  while (const std::size_t n_bytes = ::fread(block.data(), 1, block.size(), pipe))
    said.append(block.data(), n_bytes);
  if (::pclose(pipe) != 0) {
    return fail(ErrorCode::kIo, "there is an NVIDIA driver, but its GPUs cannot be listed: {}",
                said.substr(0, said.find('\n')));
  }
  return gpus_from(said);
}

}  // namespace gauntlet::worker
