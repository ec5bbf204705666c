// What could start now if there were room; a read-only question to the state.
#pragma once

#include <cstdint>
#include <vector>

#include "coordinator/engine/state.hpp"

namespace gauntlet::engine {

struct ReadyJobs {
  std::uint32_t shape = 0;
  std::uint64_t n_jobs = 0;
};

/// Ready jobs by shape, those of sweeps with a higher priority first; paused sweeps are left out. Of one
/// sweep and shape at most `limit` are looked at, so that the cost does not grow with the queue.
[[nodiscard]] std::vector<ReadyJobs> ready_jobs(const State& state, std::size_t limit = 5000);

}  // namespace gauntlet::engine
