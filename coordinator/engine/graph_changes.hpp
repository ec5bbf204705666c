// Steps shared by the handlers: state changes together with the transitions that record them.
#pragma once

#include <string>
#include <vector>

#include "coordinator/engine/handlers.hpp"

namespace gauntlet::engine {

/// Gives a job the state its needs imply; `queued` when they are all done.
void settle_job(State& state, const Now& now, JobId id, std::vector<Transition>& transitions,
                const Queued& queued = {});
/// Counts the need as met in every job that waits for it.
void release_dependants(State& state, const Now& now, JobId done, std::vector<Transition>& transitions);
/// Blocks what waits, directly or not, for `blocker`, which is the culprit itself or blocked by it.
void block_dependants(State& state, const Now& now, JobId blocker, JobId culprit,
                      std::vector<Transition>& transitions);
/// A done job runs again because its artifact is damaged; jobs that were to use it wait.
void reopen_job(State& state, const Now& now, JobId id, std::vector<Transition>& transitions);
/// Works out again every blocked job below `id`.
void unblock_dependants(State& state, const Now& now, JobId id, std::vector<Transition>& transitions);

void fail_job(State& state, const Now& now, JobId id, ErrorCode code, std::vector<Transition>& transitions);

/// What ends an attempt that gave no result.
struct AttemptEnd {
  ErrorCode code = ErrorCode::kInternal;
  AttemptOutcome outcome;
};
/// Ends the attempt and decides by retry_policy what becomes of the job: back to the queue (at once, or after
/// its wait) or failed.
void end_attempt(State& state, const Now& now, JobId id, AttemptEnd end,
                 std::vector<Transition>& transitions);

[[nodiscard]] LeaseRef current_ref(const State& state, JobId id);

/// Appends leases for whatever fits now.
void place_into(State& state, const Now& now, Decision& decision);

}  // namespace gauntlet::engine
