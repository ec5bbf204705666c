// Attempts on machines of several NUMA nodes: each on the processors of one node, where they fit.
// Thread safety: none; the agent's thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace gauntlet::worker {

/// Processors of one NUMA node, as the system counts them.
using NodeCpus = std::vector<int>;

/// By hwloc: those that this process may use, by node; nodes without any are left out. `synthetic` describes
/// another machine in hwloc's words ("numa:2 pu:4"), for tests. Empty when hwloc cannot tell.
[[nodiscard]] std::vector<NodeCpus> cpus_by_node(const std::string& synthetic = "");

/// Lets every thread that the process has, and so those that they start, run on these processors only. A
/// process that is gone, or processors it may not use, change nothing.
void bind_process(pid_t pid, const std::vector<int>& cpus);

class NumaPlaces {
 public:
  explicit NumaPlaces(std::vector<NodeCpus> nodes);

  /// With one node there is nothing to choose, and nobody need be bound.
  [[nodiscard]] bool has_choice() const { return nodes_.size() > 1; }
  /// Chooses the node that the attempt's threads fill best: of those with so many processors left, the one
  /// with the fewest. Where they fit none, the attempt runs anywhere.
  void take(std::uint64_t lease, std::int64_t n_cpus);
  void release(std::uint64_t lease);
  /// Another attempt, of as many threads, goes on where this one was; nothing when that had no place.
  void pass(std::uint64_t lease, std::uint64_t next);
  /// Where processes of the attempt may run: on its node, or on all processors.
  [[nodiscard]] const std::vector<int>& cpus_of(std::uint64_t lease) const;

 private:
  struct Taken {
    std::size_t node;
    std::int64_t n_cpus;
  };

  std::vector<NodeCpus> nodes_;
  std::vector<int> all_;
  std::vector<std::int64_t> free_;        ///< by node
  std::map<std::uint64_t, Taken> taken_;  ///< by lease
};

}  // namespace gauntlet::worker
