// Which workers and devices get nothing more, since jobs fail there that then succeed elsewhere. In memory
// only: after a restart of the coordinator a broken machine shows itself again within a few jobs; a new agent
// process on the machine starts with a clean slate. Thread safety: one thread.
#pragma once

#include <string>
#include <vector>

#include "coordinator/engine/state.hpp"

namespace gauntlet::engine {

/// Whether an attempt that ended so may have been the machine's fault.
[[nodiscard]] bool blames_machine(ErrorCode cause);

/// The job's attempt failed. A job that had one device is held against that device, any other against the
/// worker. To be called while the job is leased.
void suspect(State& state, JobId job, ErrorCode cause);

/// The job's attempt succeeded: that clears where it ran, and is evidence against every other place where the
/// job failed. A place where EngineConfig::quarantine_after jobs in a row failed that are done elsewhere now
/// goes into quarantine. Returns a sentence for each that did. To be called while the job is leased.
[[nodiscard]] std::vector<std::string> clear_and_quarantine(State& state, JobId job);

/// Devices that may be given out.
[[nodiscard]] std::int64_t usable_gpus(const Worker& worker);

}  // namespace gauntlet::engine
