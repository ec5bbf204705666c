// Leases ahead: a worker gets short jobs before cpus are free for them, starts each as soon as one ends, and
// so does not idle for the round trip that a result takes to the disk and back. The worker runs no more at
// once than its cpus allow; only the order of start and the engine's account differ: `Worker::free_cpus` goes
// below zero by what waits there.
#pragma once

#include "coordinator/engine/state.hpp"

namespace gauntlet::engine {

/// Whether the worker may be given the job to wait for its cpus: such jobs have been short, it asks for no
/// device, its memory is free, and what waits for each cpu is worth less than twice `EngineConfig::ahead`.
[[nodiscard]] bool fits_ahead(const State& state, const Worker& worker, const Shape& shape,
                              const spec::Resources& asked);

}  // namespace gauntlet::engine
