#include "coordinator/engine/graph_changes.hpp"

#include <algorithm>
#include <set>

#include "coordinator/engine/quarantine.hpp"
#include "coordinator/engine/retry_policy.hpp"

namespace gauntlet::engine {
namespace {

/// What the cause says about the job itself.
struct Verdict {
  bool again = false;
  Queued from{};  ///< how it goes back to the queue
};

Verdict judge(State& state, const Now& now, JobId id, ErrorCode cause) {
  const EngineConfig& config = state.config();
  Job& job = state.job(id);
  switch (retry_policy(cause).charge) {
    case Charge::kNothing:
      return {.again = true, .from = {}};
    case Charge::kLoss:
      ++job.losses;
      return {.again = job.losses < retry_limit(config, cause), .from = {}};
    case Charge::kFailure:
      break;
  }
  ++job.failures;
  const Milliseconds wait = retry_wait(config, cause, job.failures, id, AttemptNo{job.attempts});
  return {.again = job.failures < retry_limit(config, cause), .from = {now.steady + wait, cause}};
}

/// What keeps no progress and was cut off by the end of its worker's time is not started again where less is
/// left.
void learn_least_time(State& state, const Now& now, JobId id, ErrorCode cause) {
  const auto& lease = std::get<Leased>(state.job(id).state);
  const Worker& worker = *state.find_worker(lease.worker);
  const Shape& shape = state.shape_of(state.job(id));
  if (cause != ErrorCode::kInterrupted || !worker.draining || worker.offer.ends == SteadyTime::max()) return;
  if (shape.keeps_progress || shape.job.resources.time_s > 0) return;
  const auto ran = std::chrono::ceil<std::chrono::seconds>(now.steady - lease.started);
  state.note_cut_off(id, ran.count());
}

}  // namespace

void settle_job(State& state, const Now& now, JobId id, std::vector<Transition>& transitions,
                const Queued& queued) {
  JobState settled = state.settled(id);
  if (const auto* blocked = std::get_if<Blocked>(&settled)) {
    transitions.push_back({now.wall_ms, JobBlocked{id, blocked->culprit}});
  } else if (std::holds_alternative<Waiting>(settled)) {
    transitions.push_back({now.wall_ms, JobWaiting{id}});
  } else {
    settled = queued;
    transitions.push_back({now.wall_ms, JobQueued{id}});
  }
  state.set_state(id, settled);
}

void release_dependants(State& state, const Now& now, JobId done, std::vector<Transition>& transitions) {
  for (const JobId id : state.dependants(done)) {
    const auto* waiting = std::get_if<Waiting>(&state.job(id).state);
    if (waiting == nullptr) continue;
    if (waiting->n_unmet > 1) {
      state.set_state(id, Waiting{waiting->n_unmet - 1});
    } else {
      state.set_state(id, Queued{});
      transitions.push_back({now.wall_ms, JobQueued{id}});
    }
  }
}

void block_dependants(State& state, const Now& now, JobId blocker, JobId culprit,
                      std::vector<Transition>& transitions) {
  std::vector<JobId> frontier{blocker};
  while (!frontier.empty()) {
    const JobId from = frontier.back();
    frontier.pop_back();
    for (const JobId id : state.dependants(from)) {
      if (!std::holds_alternative<Waiting>(state.job(id).state)) continue;
      state.set_state(id, Blocked{culprit});
      transitions.push_back({now.wall_ms, JobBlocked{id, culprit}});
      frontier.push_back(id);
    }
  }
}

/// A need of it may have had to run again, and failed: then what waits for the job is blocked with it.
void settle_with_dependants(State& state, const Now& now, JobId id, std::vector<Transition>& transitions,
                            const Queued& queued = {}) {
  settle_job(state, now, id, transitions, queued);
  const auto* blocked = std::get_if<Blocked>(&state.job(id).state);
  if (blocked != nullptr) block_dependants(state, now, id, blocked->culprit, transitions);
}

void reopen_job(State& state, const Now& now, JobId id, std::vector<Transition>& transitions) {
  settle_with_dependants(state, now, id, transitions);
  for (const JobId dependant : state.dependants(id)) {
    const JobStateTag tag = tag_of(state.job(dependant).state);
    if (tag == JobStateTag::kWaiting || tag == JobStateTag::kQueued)
      settle_with_dependants(state, now, dependant, transitions);
  }
}

void unblock_dependants(State& state, const Now& now, JobId id, std::vector<Transition>& transitions) {
  std::set<JobId> below;  // by growing id, so that needs are settled before what needs them
  std::vector<JobId> frontier{id};
  while (!frontier.empty()) {
    const JobId blocker = frontier.back();
    frontier.pop_back();
    for (const JobId dependant : state.dependants(blocker)) {
      if (!std::holds_alternative<Blocked>(state.job(dependant).state)) continue;
      if (below.insert(dependant).second) frontier.push_back(dependant);
    }
  }
  for (const JobId blocked : below) {
    const JobId before = std::get<Blocked>(state.job(blocked).state).culprit;
    const JobState settled = state.settled(blocked);
    const auto* still = std::get_if<Blocked>(&settled);
    if (still != nullptr && still->culprit == before) continue;
    settle_job(state, now, blocked, transitions);
  }
}

void fail_job(State& state, const Now& now, JobId id, ErrorCode code, std::vector<Transition>& transitions) {
  state.set_state(id, Failed{code});
  transitions.push_back({now.wall_ms, JobFailed{id, code}});
  block_dependants(state, now, id, id, transitions);
}

LeaseRef current_ref(const State& state, JobId id) {
  const Job& job = state.job(id);
  return {id, std::get<Leased>(job.state).lease, AttemptNo{job.attempts}};
}

void end_attempt(State& state, const Now& now, JobId id, AttemptEnd end,
                 std::vector<Transition>& transitions) {
  const LeaseRef ref = current_ref(state, id);
  Job& job = state.job(id);
  const WorkerId worker = std::get<Leased>(job.state).worker;
  suspect(state, id, end.code);
  learn_least_time(state, now, id, end.code);
  const Verdict verdict = judge(state, now, id, end.code);
  transitions.push_back({now.wall_ms, AttemptFailed{id, ref.lease, ref.attempt, worker, end.code,
                                                    std::move(end.outcome), job.failures, job.losses}});
  if (!verdict.again) {
    fail_job(state, now, id, end.code, transitions);
    return;
  }
  settle_with_dependants(state, now, id, transitions, verdict.from);
}

void place_into(State& state, const Now& now, Decision& decision) {
  for (GiveLeases& leases : place(state, now, decision.transitions))
    decision.messages.emplace_back(std::move(leases));
}

}  // namespace gauntlet::engine
