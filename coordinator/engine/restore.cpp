#include "coordinator/engine/state.hpp"

namespace gauntlet::engine {
namespace {

WorkerOffer offer_of(const WorkerRow& row) {
  WorkerOffer offer;
  offer.agent_id = row.agent_id;
  offer.name = row.name;
  offer.cpus = row.cpus;
  offer.memory_mb = row.memory_mb;
  offer.gpus = row.gpus;
  offer.credit = 0;  // nothing is placed on it before it says what it takes
  return offer;
}

Status restore_leases(State& state, const RestoredRows& rows, const Now& now) {
  for (const WorkerRow& row : rows.workers) {
    Worker& worker = state.add_worker(row.id, offer_of(row));
    worker.last_heard = now.steady;
    worker.back_by = now.steady + state.config().restart_grace;
  }
  for (const LeaseRow& row : rows.leases) {
    if (!state.has_job(row.job) || state.find_worker(row.worker) == nullptr) {
      return fail(ErrorCode::kCorrupt, "lease {} names job {} of worker {}, which are not in the database",
                  row.lease.value, row.job.value, row.worker.value);
    }
    Leased lease{.lease = row.lease, .worker = row.worker, .gpus = row.gpus, .started = {}, .slot = 0};
    lease.started = now.steady - Milliseconds(std::max<std::int64_t>(0, now.wall_ms - row.started_ms));
    const std::int64_t time_s = state.shape_of(state.job(row.job)).job.resources.time_s;
    for (const GangPart& part : row.parts) {
      if (state.find_worker(part.worker) != nullptr) continue;
      return fail(ErrorCode::kCorrupt, "lease {} names worker {}, which is not in the database",
                  row.lease.value, part.worker.value);
    }
    if (!row.parts.empty()) state.set_gang(row.job, row.parts);
    if (time_s > 0) {  // which of them were leased ahead, no row tells
      const bool may_be_ahead = !state.shape_of(state.job(row.job)).needs_torch && row.gpus == 0;
      lease.deadline = lease.started + std::chrono::seconds(time_s);
      if (may_be_ahead) lease.deadline += state.config().ahead_wait;
    }
    state.job(row.job).attempts = static_cast<std::uint32_t>(row.attempt.value);
    state.set_state(row.job, lease);
  }
  return {};
}

/// The transition that tells the database about a state the graph implies.
Change change_of(JobId id, const JobState& state) {
  if (const auto* blocked = std::get_if<Blocked>(&state)) return JobBlocked{id, blocked->culprit};
  if (std::holds_alternative<Waiting>(state)) return JobWaiting{id};
  return JobQueued{id};
}

}  // namespace

Result<Restored> restore(const EngineConfig& config, const RestoredRows& rows, const Now& now) {
  Restored restored{State(config), {}};
  State& state = restored.state;
  for (const SweepRow& sweep : rows.sweeps) state.add_sweep(sweep);
  GAUNTLET_CHECK_OK(state.add_rows(rows.rows));
  state.set_last_ids(rows.last_lease, rows.last_worker);
  for (const KindTime& time : rows.times)
    state.times()[static_cast<std::size_t>(time.kind)] = {time.n, time.total_s};
  GAUNTLET_CHECK_OK(restore_leases(state, rows, now));
  for (const JobRow& row : rows.rows.jobs) {  // by growing id, so needs come before what needs them
    switch (row.state) {
      case JobStateTag::kDone:
        state.set_state(row.id, Done{});
        break;
      case JobStateTag::kFailed:
        state.set_state(row.id, Failed{row.code});
        break;
      case JobStateTag::kCancelled:
        state.set_state(row.id, Cancelled{});
        break;
      case JobStateTag::kLeased:
        if (std::holds_alternative<Leased>(state.job(row.id).state)) break;
        [[fallthrough]];
      case JobStateTag::kWaiting:
      case JobStateTag::kQueued:
      case JobStateTag::kBlocked: {
        const JobState settled = state.settled(row.id);
        if (tag_of(settled) != row.state)
          restored.transitions.push_back({now.wall_ms, change_of(row.id, settled)});
        state.set_state(row.id, settled);
        break;
      }
    }
  }
  return restored;
}

}  // namespace gauntlet::engine
