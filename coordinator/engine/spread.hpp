// Gangs that fit no single worker: which workers they can be spread over. A launcher such as mpirun starts
// their ranks, so only workers that the same launcher reaches can share a gang; the first of them leads it.
// Ranks share the job's cpus and memory evenly; a part is never less than a whole rank. Of several variants
// of resources only the first is spread. Thread safety: one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "coordinator/engine/state.hpp"

namespace gauntlet::engine {

/// What so many ranks of a job occupy.
[[nodiscard]] spec::Resources share_of(const spec::Resources& asked, std::int64_t n_ranks);

/// Ranks that fit into what the worker has in all; 0 when it cannot take part.
[[nodiscard]] std::int64_t ranks_in_total(const Worker& worker, const Shape& shape);
/// Ranks that fit into what it has free; 0 when it cannot take part.
[[nodiscard]] std::int64_t ranks_now(const Worker& worker, const Shape& shape);

/// Whether such jobs are gangs that no worker could run alone, but several together could, each with nothing
/// else to do. Gangs on CPUs that a single worker is too small for are spread where that is possible; else
/// they get a whole worker.
[[nodiscard]] bool needs_spread(const State& state, const Shape& shape);

struct PartPlan {
  Worker* worker = nullptr;
  std::int64_t ranks = 0;
};
/// Workers for all ranks of a gang, the lead first: as few as possible, all of one reach. `ranks_of` says
/// what each can take. Empty when they do not suffice.
[[nodiscard]] std::vector<PartPlan> plan_spread(const std::vector<Worker*>& workers, std::int64_t world,
                                                const std::function<std::int64_t(Worker& worker)>& ranks_of);

/// Why a gang that needs_spread, or that lacks a launcher to be spread, does not start. Sentences.
[[nodiscard]] std::vector<std::string> explain_spread(const State& state, const Shape& shape);

}  // namespace gauntlet::engine
