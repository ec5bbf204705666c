#include "coordinator/engine/handlers.hpp"

#include <algorithm>
#include <set>

#include "coordinator/engine/graph_changes.hpp"

namespace gauntlet::engine {
namespace {

bool is_live(JobStateTag tag) {
  return tag == JobStateTag::kWaiting || tag == JobStateTag::kQueued || tag == JobStateTag::kLeased;
}

/// Of `jobs`, those that no other sweep with unfinished work outside of `jobs` wants.
std::vector<JobId> exclusive_to(const State& state, const std::vector<JobId>& jobs, SweepId sweep) {
  const std::uint32_t mine = state.find_sweep(sweep);
  std::unordered_map<std::uint32_t, std::uint64_t> n_selected;  // live jobs of the selection, by other sweep
  for (const JobId id : jobs) {
    if (!is_live(tag_of(state.job(id).state))) continue;
    for (const std::uint32_t other : state.sweeps_of(id)) ++n_selected[other];
  }
  const auto has_own_work = [&](std::uint32_t other) {
    std::uint64_t n_live = 0;
    for (const std::uint64_t n : state.sweeps()[other].live_by_kind) n_live += n;
    return other != mine && n_live > n_selected[other];
  };
  std::vector<JobId> exclusive;
  for (const JobId id : jobs) {
    const std::vector<std::uint32_t> sweeps = state.sweeps_of(id);
    if (std::none_of(sweeps.begin(), sweeps.end(), has_own_work)) exclusive.push_back(id);
  }
  return exclusive;
}

std::vector<JobId> known_jobs(const State& state, const std::vector<JobId>& jobs) {
  std::vector<JobId> known;
  std::copy_if(jobs.begin(), jobs.end(), std::back_inserter(known),
               [&](JobId id) { return state.has_job(id); });
  std::sort(known.begin(), known.end());
  known.erase(std::unique(known.begin(), known.end()), known.end());
  return known;
}

void add_stop(Decision& decision, WorkerId worker, const LeaseRef& ref, const std::string& reason) {
  for (Outgoing& message : decision.messages) {
    auto* stop = std::get_if<StopLeases>(&message);
    if (stop != nullptr && stop->worker == worker) {
      stop->attempts.push_back(ref);
      return;
    }
  }
  decision.messages.emplace_back(StopLeases{worker, {ref}, reason});
}

void cancel_job(State& state, const Now& now, JobId id, const std::string& reason, Decision& decision) {
  if (const auto* lease = std::get_if<Leased>(&state.job(id).state)) {
    const LeaseRef ref = current_ref(state, id);
    const WorkerId worker = lease->worker;
    const Job& job = state.job(id);
    decision.transitions.push_back(
        {now.wall_ms, AttemptFailed{id, ref.lease, ref.attempt, worker, ErrorCode::kInterrupted,
                                    AttemptOutcome{.message = reason}, job.failures, job.losses}});
    add_stop(decision, worker, ref, reason);
  }
  state.set_state(id, Cancelled{});
  decision.transitions.push_back({now.wall_ms, JobCancelled{id, reason}});
  ++decision.n_jobs;
}

}  // namespace

Result<Decision> on_submit(State& state, const Now& now, const SubmitOutcome& submitted) {
  Decision decision;
  state.add_sweep(submitted.sweep);
  GAUNTLET_CHECK_OK(state.add_rows(submitted.rows));
  for (const JobRow& row : submitted.rows.jobs) {  // by growing id, so needs come before what needs them
    const JobState settled = state.settled(row.id);
    if (tag_of(settled) == row.state) {
      state.set_state(row.id, settled);
    } else {
      settle_job(state, now, row.id, decision.transitions);
    }
  }
  for (const ShapeChange& change : submitted.changes) {
    const JobStateTag tag = tag_of(state.job(change.job).state);
    if (tag == JobStateTag::kLeased || tag == JobStateTag::kDone) continue;
    state.set_resources(change.job, submitted.rows.shapes[change.shape].resources);
    decision.transitions.push_back({now.wall_ms, JobReshaped{change.job, change.stored_shape}});
  }
  place_into(state, now, decision);
  return decision;
}

Decision on_cancel(State& state, const Now& now, const std::vector<JobId>& jobs, SweepId sweep,
                   const std::string& reason) {
  Decision decision;
  std::vector<JobId> selected = known_jobs(state, jobs);
  if (sweep) selected = exclusive_to(state, selected, sweep);
  std::vector<JobId> cancelled;
  for (const JobId id : selected) {
    const JobStateTag tag = tag_of(state.job(id).state);
    if (!is_live(tag) && tag != JobStateTag::kBlocked) continue;
    cancel_job(state, now, id, reason, decision);
    cancelled.push_back(id);
  }
  for (const JobId id : cancelled) {
    block_dependants(state, now, id, id, decision.transitions);
    unblock_dependants(state, now, id,
                       decision.transitions);  // those blocked through it now have it as the culprit
  }
  place_into(state, now, decision);
  return decision;
}

Decision on_retry(State& state, const Now& now, const std::vector<JobId>& jobs) {
  Decision decision;
  std::set<JobId> again;  // by growing id, so that needs are settled before what needs them
  for (const JobId id : known_jobs(state, jobs)) {
    const JobState& job = state.job(id).state;
    if (const auto* blocked = std::get_if<Blocked>(&job)) again.insert(blocked->culprit);
    if (std::holds_alternative<Failed>(job) || std::holds_alternative<Cancelled>(job)) again.insert(id);
  }
  for (const JobId id : again) {
    Job& job = state.job(id);
    job.failures = 0;
    job.losses = 0;
    decision.transitions.push_back({now.wall_ms, JobRetried{id}});
    settle_job(state, now, id, decision.transitions);
    ++decision.n_jobs;
  }
  for (const JobId id : again) unblock_dependants(state, now, id, decision.transitions);
  place_into(state, now, decision);
  return decision;
}

Result<Decision> on_pause(State& state, const Now& now, SweepId sweep, bool paused) {
  const std::uint32_t index = state.find_sweep(sweep);
  if (index == kNone) return fail(ErrorCode::kNotFound, "there is no sweep {}", sweep.value);
  Decision decision;
  if (state.sweeps()[index].row.paused != paused) {
    state.set_paused(index, paused);
    decision.transitions.push_back({now.wall_ms, SweepPaused{sweep, paused}});
  }
  const StateCounts& counts = state.sweeps()[index].counts;
  decision.n_jobs = counts[static_cast<std::size_t>(JobStateTag::kWaiting)] +
                    counts[static_cast<std::size_t>(JobStateTag::kQueued)];
  place_into(state, now, decision);
  return decision;
}

}  // namespace gauntlet::engine
