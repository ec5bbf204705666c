// What the coordinator does when something happens. Every handler takes the state, the time and an event,
// changes the state and returns what must be made durable and what must be said once it is. Order: decide →
// commit `transitions` → send `messages`. A state whose commit failed must not be used any more. Thread
// safety: one thread.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "coordinator/engine/placement.hpp"
#include "coordinator/engine/state.hpp"

namespace gauntlet::engine {

// ---------------------------------------------------------------- messages

/// Names one lease of one attempt; job and attempt are 0 where only the lease is known.
struct LeaseRef {
  JobId job;
  LeaseId lease;
  AttemptNo attempt;
  auto operator<=>(const LeaseRef&) const = default;
};

/// The attempts are not wanted any more; no report of them is.
struct StopLeases {
  WorkerId worker;
  std::vector<LeaseRef> attempts;
  std::string reason;
};
/// The worker is no longer known; its connection, if any, is closed.
struct Disconnect {
  WorkerId worker;
  std::string reason;
};
struct WelcomeWorker {
  WorkerId worker;
  std::vector<LeaseRef> stale;  ///< of the held ones: stop them
};
struct AnswerReports {
  WorkerId worker;
  std::vector<LeaseId> settled;  ///< need no further report
  std::vector<LeaseId> stale;    ///< of these, the refused ones
};
struct AnswerHeartbeat {
  WorkerId worker;
  std::vector<LeaseRef> stale;
};

using Outgoing =
    std::variant<GiveLeases, StopLeases, Disconnect, WelcomeWorker, AnswerReports, AnswerHeartbeat>;

struct Decision {
  std::vector<Transition> transitions;
  std::vector<Outgoing> messages;
  std::uint64_t n_jobs = 0;                ///< jobs that a cancel or retry changed
  std::vector<std::string> warnings = {};  ///< for the coordinator's log
};

// ---------------------------------------------------------------- events

struct WorkerJoinedEvent {
  WorkerOffer offer;
  std::vector<LeaseRef> held;  ///< every lease whose report is not settled
};

/// How one attempt ended, as its worker says.
struct ReportEvent {
  LeaseRef ref;
  std::optional<ErrorCode> code;  ///< nothing = done
  AttemptOutcome outcome;
  std::vector<JobId> damaged;  ///< needs whose artifact is missing or damaged: they run again first
};

// ---------------------------------------------------------------- handlers

/// A committed submission: its jobs enter the graph. Known jobs keep their state: only a retry runs a failed
/// or cancelled one again. They take the resources that it asks for, unless they run. Errors (kCorrupt): rows
/// that contradict the graph.
[[nodiscard]] Result<Decision> on_submit(State& state, const Now& now, const SubmitOutcome& submitted);

/// A worker says hello, for the first time or again (known by its agent_id). Held leases that are current
/// stay with it; the others are answered stale; its leases that it does not hold never reached it and go back
/// free of charge.
[[nodiscard]] Decision on_worker_joined(State& state, const Now& now, const WorkerJoinedEvent& event);
/// Its connection closed: it has the grace period to come back. A draining worker is gone at once.
[[nodiscard]] Decision on_worker_left(State& state, const Now& now, WorkerId worker);
/// It takes no more leases; those it has go on.
[[nodiscard]] Decision on_drain(State& state, const Now& now, WorkerId worker);
/// It is alive. `running`: leases it believes to hold.
[[nodiscard]] Decision on_heartbeat(State& state, const Now& now, WorkerId worker,
                                    const std::vector<LeaseId>& running);
/// Ends of attempts. Accepted only from the worker, with the lease and the attempt, that are current.
[[nodiscard]] Decision on_report(State& state, const Now& now, WorkerId worker,
                                 std::vector<ReportEvent> reports);

/// Ends jobs that are not done or failed; running ones are stopped. What needs them is blocked. With a
/// `sweep`, jobs that another sweep with unfinished work of its own wants too are left alone.
[[nodiscard]] Decision on_cancel(State& state, const Now& now, const std::vector<JobId>& jobs, SweepId sweep,
                                 const std::string& reason);
/// Failed and cancelled jobs start over, failures forgotten; blocked ones stand for the job that blocks them.
/// What was blocked by them is released.
[[nodiscard]] Decision on_retry(State& state, const Now& now, const std::vector<JobId>& jobs);
/// Running jobs of a paused sweep go on; nothing of it is leased. Errors (kNotFound): no such sweep.
[[nodiscard]] Result<Decision> on_pause(State& state, const Now& now, SweepId sweep, bool paused);
/// Deadlines: backoff over, time limits, silent workers, grace periods; then placement.
[[nodiscard]] Decision on_tick(State& state, const Now& now);

}  // namespace gauntlet::engine
