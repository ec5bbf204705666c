#include "worker/agent/numa_places.hpp"

#include <fmt/core.h>
#include <hwloc.h>
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <memory>
#include <optional>

namespace gauntlet::worker {

std::vector<NodeCpus> cpus_by_node(const std::string& synthetic) {
  hwloc_topology_t made = nullptr;
  if (hwloc_topology_init(&made) != 0) return {};
  const std::unique_ptr<hwloc_topology, decltype(&hwloc_topology_destroy)> topology(made,
                                                                                    &hwloc_topology_destroy);
  if (!synthetic.empty() && hwloc_topology_set_synthetic(made, synthetic.c_str()) != 0) return {};
  if (hwloc_topology_load(made) != 0) return {};
  cpu_set_t usable;
  CPU_ZERO(&usable);
  const bool is_known = synthetic.empty() && ::sched_getaffinity(0, sizeof usable, &usable) == 0;
  std::vector<NodeCpus> nodes;
  const int n_nodes = hwloc_get_nbobjs_by_type(made, HWLOC_OBJ_NUMANODE);
  for (int at = 0; at < n_nodes; ++at) {
    const hwloc_obj_t node = hwloc_get_obj_by_type(made, HWLOC_OBJ_NUMANODE, static_cast<unsigned>(at));
    NodeCpus cpus;
    for (int cpu = hwloc_bitmap_first(node->cpuset); cpu >= 0; cpu = hwloc_bitmap_next(node->cpuset, cpu)) {
      if (cpu < CPU_SETSIZE && (!is_known || CPU_ISSET(cpu, &usable))) cpus.push_back(cpu);
    }
    if (!cpus.empty()) nodes.push_back(std::move(cpus));
  }
  return nodes;
}

void bind_process(pid_t pid, const std::vector<int>& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) CPU_SET(cpu, &set);
  std::error_code ignored;
  for (const auto& task : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid), ignored)) {
    const std::string name = task.path().filename().string();
    pid_t thread = 0;
    std::from_chars(name.data(), name.data() + name.size(), thread);
    if (thread > 0) ::sched_setaffinity(thread, sizeof set, &set);
  }
}

NumaPlaces::NumaPlaces(std::vector<NodeCpus> nodes) : nodes_(std::move(nodes)) {
  for (const NodeCpus& node : nodes_) {
    all_.insert(all_.end(), node.begin(), node.end());
    free_.push_back(static_cast<std::int64_t>(node.size()));
  }
}

void NumaPlaces::take(std::uint64_t lease, std::int64_t n_cpus) {
  if (!has_choice() || n_cpus <= 0 || taken_.contains(lease)) return;
  std::optional<std::size_t> best;
  for (std::size_t node = 0; node < nodes_.size(); ++node) {
    if (free_[node] >= n_cpus && (!best || free_[node] < free_[*best])) best = node;
  }
  if (!best) return;
  free_[*best] -= n_cpus;
  taken_.emplace(lease, Taken{*best, n_cpus});
}

void NumaPlaces::release(std::uint64_t lease) {
  const auto taken = taken_.find(lease);
  if (taken == taken_.end()) return;
  free_[taken->second.node] += taken->second.n_cpus;
  taken_.erase(taken);
}

void NumaPlaces::pass(std::uint64_t lease, std::uint64_t next) {
  auto taken = taken_.extract(lease);
  if (taken.empty()) return;
  taken.key() = next;
  taken_.insert(std::move(taken));
}

const std::vector<int>& NumaPlaces::cpus_of(std::uint64_t lease) const {
  const auto taken = taken_.find(lease);
  return taken == taken_.end() ? all_ : nodes_[taken->second.node];
}

}  // namespace gauntlet::worker
