// Placement: which ready job goes to which worker now.
// Order: priority of the sweep, then the sweep that was served least, then the job submitted first. A job
// goes to one worker whole (its gang, its cpus, its GPUs) or not at all; a gang that fits no single worker
// goes to several at once (spread.hpp), all of it or nothing, and when it is passed too often, all of them
// are kept for it. A job asking for more cpus than a worker has gets the whole worker. Jobs that do not fit
// may be passed by `max_overtakes` placements; then a worker is kept for the first of them, and one more for
// the next with every further `max_overtakes`, up to half of the workers. So a shape that is hard to place
// gets at least one placement to `max_overtakes` others once workers have emptied, and a gang of eight waits
// for a bounded number of smaller jobs. Cost of a call: what it grants times the open workers, plus the
// shapes that do not fit; never the queued jobs.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "coordinator/engine/state.hpp"

namespace gauntlet::engine {

struct LeaseGrant {
  JobId job;
  LeaseId lease;
  AttemptNo attempt;
  std::uint64_t gpus = 0;            ///< bit i = device i of the worker
  std::vector<GangPart> parts = {};  ///< of a gang over several workers, this one first; else empty
};

/// New leases of one worker, in the order in which they were given.
struct GiveLeases {
  WorkerId worker;
  std::vector<LeaseGrant> grants;
};

/// Leases what fits and appends one JobLeased transition per grant.
[[nodiscard]] std::vector<GiveLeases> place(State& state, const Now& now,
                                            std::vector<Transition>& transitions);

/// Calls visit(device) for each device of a mask, lowest first.
template <class Visit>
void for_each_device(std::uint64_t gpus, Visit visit) {
  for (; gpus != 0; gpus &= gpus - 1) visit(static_cast<std::uint32_t>(std::countr_zero(gpus)));
}

/// Whether these resources, apart from their variants, fit into what the worker has free now.
[[nodiscard]] bool fits_now(const Worker& worker, const spec::Resources& asked);
/// Whether the worker stays as long as jobs of the shape may take, or have taken without being done; what has
/// no limit and was never cut off starts anywhere.
[[nodiscard]] bool stays_long_enough(const Worker& worker, const Shape& shape, SteadyTime now);

}  // namespace gauntlet::engine
