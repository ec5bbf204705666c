#include "coordinator/engine/demand.hpp"

#include <algorithm>

namespace gauntlet::engine {
namespace {

/// Entries of a ready queue whose job has not moved on.
std::uint64_t count_valid(const State& state, std::uint32_t sweep, const ReadyQueue& queue,
                          std::size_t limit) {
  const std::size_t n_looked = std::min(limit, queue.heap.size());
  return static_cast<std::uint64_t>(
      std::count_if(queue.heap.begin(), queue.heap.begin() + static_cast<std::ptrdiff_t>(n_looked),
                    [&](std::uint32_t number) {
                      const Job& job = state.job(JobId{number});
                      const auto* queued = std::get_if<Queued>(&job.state);
                      return queued != nullptr && queued->not_before == SteadyTime{} && job.home == sweep;
                    }));
}

}  // namespace

std::vector<ReadyJobs> ready_jobs(const State& state, std::size_t limit) {
  std::vector<std::uint32_t> sweeps;
  for (const std::uint32_t index : state.active_sweeps()) {
    if (!state.sweeps()[index].row.paused) sweeps.push_back(index);
  }
  std::stable_sort(sweeps.begin(), sweeps.end(), [&](std::uint32_t one, std::uint32_t other) {
    return state.sweeps()[one].row.priority > state.sweeps()[other].row.priority;
  });
  std::vector<ReadyJobs> ready;
  for (const std::uint32_t index : sweeps) {
    for (const ReadyQueue& queue : state.sweeps()[index].queues) {
      const std::uint64_t n_jobs = count_valid(state, index, queue, limit);
      if (n_jobs > 0) ready.push_back({queue.shape, n_jobs});
    }
  }
  return ready;
}

}  // namespace gauntlet::engine
