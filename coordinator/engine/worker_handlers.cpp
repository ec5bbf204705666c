// Handlers of what workers say and of their silence.
#include <algorithm>
#include <set>

#include "coordinator/engine/graph_changes.hpp"
#include "coordinator/engine/handlers.hpp"
#include "coordinator/engine/quarantine.hpp"

namespace gauntlet::engine {
namespace {

bool is_current(const State& state, WorkerId worker, const LeaseRef& ref) {
  if (!state.has_job(ref.job)) return false;
  const Job& job = state.job(ref.job);
  const auto* lease = std::get_if<Leased>(&job.state);
  return lease != nullptr && lease->lease == ref.lease && lease->worker == worker &&
         job.attempts == ref.attempt.value;
}

/// The last attempt of a done job is the one that did it, so its report was accepted before.
bool was_accepted(const State& state, const LeaseRef& ref) {
  return state.has_job(ref.job) && std::holds_alternative<Done>(state.job(ref.job).state) &&
         state.job(ref.job).attempts == ref.attempt.value;
}

std::string seconds_since(SteadyTime then, SteadyTime now) {
  return fmt::format("{:.1f}s", std::chrono::duration<double>(now - then).count());
}

/// Ends everything the worker holds and forgets it.
void drop_worker(State& state, const Now& now, WorkerId id, ErrorCode code, const std::string& reason,
                 Decision& decision) {
  const Worker* worker = state.find_worker(id);
  const std::string name = worker->offer.name;
  std::vector<JobId> leases = worker->leases;
  const std::vector<JobId> parts = worker->parts;
  decision.transitions.push_back(
      {now.wall_ms, WorkerLeft{id, reason}});  // the loss is told before its consequences
  for (const JobId job : parts) {              // a gang without one of its machines is over
    decision.messages.emplace_back(StopLeases{std::get<Leased>(state.job(job).state).worker,
                                              {current_ref(state, job)},
                                              fmt::format("worker {} of its gang: {}", name, reason)});
  }
  leases.insert(leases.end(), parts.begin(), parts.end());
  for (const JobId job : leases) {
    AttemptEnd end{.code = code, .outcome = {.message = fmt::format("worker {}: {}", name, reason)}};
    end_attempt(state, now, job, std::move(end), decision.transitions);
  }
  state.remove_worker(id);
  decision.messages.emplace_back(Disconnect{id, reason});
}

void give_back(State& state, const Now& now, JobId job, Decision& decision) {
  AttemptEnd end{.code = ErrorCode::kInterrupted,
                 .outcome = {.message = "the lease never reached the worker"}};
  end_attempt(state, now, job, std::move(end), decision.transitions);
}

bool offers_other_resources(const WorkerOffer& one, const WorkerOffer& other) {
  return one.cpus != other.cpus || one.memory_mb != other.memory_mb || one.gpus != other.gpus ||
         one.name != other.name;
}

Worker& admit(State& state, const Now& now, const WorkerOffer& offer, Decision& decision) {
  Worker* known = state.find_agent(offer.agent_id);
  const bool record = known == nullptr || offers_other_resources(known->offer, offer);
  if (known == nullptr) {
    known = &state.add_worker(state.next_worker(), offer);
  } else {
    state.set_offer(*known, offer);
  }
  if (record) {
    decision.transitions.push_back({now.wall_ms, WorkerJoined{known->id, offer.agent_id, offer.name,
                                                              offer.cpus, offer.memory_mb, offer.gpus}});
  }
  known->attached = true;
  known->draining = false;
  known->last_heard = now.steady;
  state.refresh_open(*known);
  return *known;
}

void accept_done(State& state, const Now& now, const LeaseRef& ref, WorkerId worker, AttemptOutcome outcome,
                 Decision& decision) {
  MeanTime& time = state.times()[static_cast<std::size_t>(state.shape_of(state.job(ref.job)).job.kind)];
  ++time.n;
  time.total_s += outcome.wall_s;
  state.note_time(ref.job, outcome.wall_s);
  for (std::string& sentence : clear_and_quarantine(state, ref.job))
    decision.warnings.push_back(std::move(sentence));
  decision.transitions.push_back(
      {now.wall_ms, AttemptDone{ref.job, ref.lease, ref.attempt, worker, std::move(outcome)}});
  state.set_state(ref.job, Done{});
  release_dependants(state, now, ref.job, decision.transitions);
}

void reopen_damaged(State& state, const Now& now, const ReportEvent& report, Decision& decision) {
  for (const JobId damaged : report.damaged) {
    const auto needs = state.needs(report.ref.job);
    const bool is_need = std::find(needs.begin(), needs.end(), damaged.value) != needs.end();
    if (!is_need || !std::holds_alternative<Done>(state.job(damaged).state)) continue;
    reopen_job(state, now, damaged, decision.transitions);
  }
}

void expire_leases_and_backoffs(State& state, const Now& now, Decision& decision) {
  for (const JobId id : state.pop_due(now.steady)) {
    const auto* lease = std::get_if<Leased>(&state.job(id).state);
    if (lease == nullptr) {
      state.push_ready(id);
      continue;
    }
    const std::int64_t limit_s = state.shape_of(state.job(id)).job.resources.time_s;
    const std::string reason = fmt::format("exceeded its time limit of {} s", limit_s);
    decision.messages.emplace_back(StopLeases{lease->worker, {current_ref(state, id)}, reason});
    AttemptEnd end{.code = ErrorCode::kTimedOut,
                   .outcome = {.message = reason,
                               .wall_s = std::chrono::duration<double>(now.steady - lease->started).count()}};
    end_attempt(state, now, id, std::move(end), decision.transitions);
  }
}

void drop_silent_workers(State& state, const Now& now, Decision& decision) {
  const EngineConfig& config = state.config();
  std::vector<std::pair<WorkerId, std::string>> lost;
  for (const auto& [id, worker] : state.workers()) {
    const SteadyTime until =
        worker.attached ? worker.last_heard + config.heartbeat * config.silent_heartbeats : worker.back_by;
    if (now.steady <= until) continue;
    const std::string since = seconds_since(worker.last_heard, now.steady);
    lost.emplace_back(id, worker.attached
                              ? fmt::format("lost: silent for {}", since)
                              : fmt::format("lost: not back {} after its connection closed", since));
  }
  for (const auto& [id, reason] : lost) drop_worker(state, now, id, ErrorCode::kLost, reason, decision);
}

}  // namespace

Decision on_worker_joined(State& state, const Now& now, const WorkerJoinedEvent& event) {
  Decision decision;
  Worker& worker = admit(state, now, event.offer, decision);
  const WorkerId id = worker.id;
  WelcomeWorker welcome{id, {}};
  std::set<JobId> kept;
  for (const LeaseRef& ref : event.held) {
    if (is_current(state, id, ref)) {
      kept.insert(ref.job);
    } else if (!was_accepted(state, ref)) {
      welcome.stale.push_back(ref);
    }
  }
  const std::vector<JobId> leases = worker.leases;
  for (const JobId job : leases) {
    if (!kept.contains(job)) give_back(state, now, job, decision);
  }
  decision.messages.emplace_back(std::move(welcome));
  place_into(state, now, decision);
  return decision;
}

Decision on_worker_left(State& state, const Now& now, WorkerId id) {
  Decision decision;
  Worker* worker = state.find_worker(id);
  if (worker == nullptr) return decision;
  if (worker->draining) {
    drop_worker(state, now, id, ErrorCode::kInterrupted, "drained", decision);
    place_into(state, now, decision);
    return decision;
  }
  worker->attached = false;
  worker->last_heard = now.steady;
  worker->back_by = now.steady + state.config().grace;
  state.refresh_open(*worker);
  return decision;
}

Decision on_drain(State& state, const Now& now, WorkerId id) {
  Decision decision;
  Worker* worker = state.find_worker(id);
  if (worker == nullptr) return decision;
  worker->draining = true;
  worker->last_heard = now.steady;
  state.refresh_open(*worker);
  return decision;
}

Decision on_heartbeat(State& state, const Now& now, WorkerId id, const std::vector<LeaseId>& running) {
  Decision decision;
  AnswerHeartbeat answer{id, {}};
  std::set<LeaseId> current;
  if (Worker* worker = state.find_worker(id); worker != nullptr) {
    worker->last_heard = now.steady;
    for (const JobId job : worker->leases) current.insert(std::get<Leased>(state.job(job).state).lease);
  }
  for (const LeaseId lease : running) {
    if (!current.contains(lease)) answer.stale.push_back({{}, lease, {}});
  }
  decision.messages.emplace_back(std::move(answer));
  return decision;
}

Decision on_report(State& state, const Now& now, WorkerId id, std::vector<ReportEvent> reports) {
  Decision decision;
  if (Worker* worker = state.find_worker(id); worker != nullptr) worker->last_heard = now.steady;
  AnswerReports answer{id, {}, {}};
  for (ReportEvent& report : reports) {
    answer.settled.push_back(report.ref.lease);
    if (!is_current(state, id, report.ref)) {
      if (!was_accepted(state, report.ref)) answer.stale.push_back(report.ref.lease);
    } else if (!report.code) {
      accept_done(state, now, report.ref, id, std::move(report.outcome), decision);
    } else {
      reopen_damaged(state, now, report, decision);
      state.note_time(report.ref.job, {});
      end_attempt(state, now, report.ref.job, {*report.code, std::move(report.outcome)},
                  decision.transitions);
    }
  }
  decision.messages.emplace_back(std::move(answer));
  place_into(state, now, decision);
  return decision;
}

Decision on_tick(State& state, const Now& now) {
  Decision decision;
  expire_leases_and_backoffs(state, now, decision);
  drop_silent_workers(state, now, decision);
  place_into(state, now, decision);
  return decision;
}

}  // namespace gauntlet::engine
