// What must hold after every handler, worked out from nothing but the jobs themselves.
#include <algorithm>
#include <bit>

#include "coordinator/engine/state.hpp"

namespace gauntlet::engine {
namespace {

bool is_live(JobStateTag tag) {
  return tag == JobStateTag::kWaiting || tag == JobStateTag::kQueued || tag == JobStateTag::kLeased;
}

}  // namespace

Status State::check_invariants() const {
  GAUNTLET_CHECK_OK(check_jobs());
  GAUNTLET_CHECK_OK(check_counts());
  return check_workers();
}

Status State::check_jobs() const {
  std::set<LeaseId> leases;
  for (const auto& [id, parts] : gangs_) {
    if (!std::holds_alternative<Leased>(job(id).state))
      return fail(ErrorCode::kInternal, "job {} has a gang and does not run", id.value);
  }
  for (std::uint64_t number = 0; number < jobs_.size(); ++number) {
    const JobId id{number};
    if (!has_job(id)) continue;
    GAUNTLET_CHECK_OK(check_state(id));
    const auto* lease = std::get_if<Leased>(&job(id).state);
    if (lease == nullptr) continue;
    GAUNTLET_CHECK_OK(check_lease(id, *lease));
    if (!leases.insert(lease->lease).second)
      return fail(ErrorCode::kInternal, "lease {} twice", lease->lease.value);
  }
  return {};
}

Status State::check_state(JobId id) const {
  const Job& checked = job(id);
  const JobStateTag tag = tag_of(checked.state);
  if (tag != JobStateTag::kWaiting && tag != JobStateTag::kQueued && tag != JobStateTag::kBlocked) return {};
  const JobState implied = settled(id);
  if (tag_of(implied) != tag) {
    return fail(ErrorCode::kInternal, "job {} is {}, its needs say {}", id.value, name_of(tag),
                name_of(tag_of(implied)));
  }
  if (const auto* waiting = std::get_if<Waiting>(&checked.state)) {
    if (waiting->n_unmet == std::get<Waiting>(implied).n_unmet) return {};
    return fail(ErrorCode::kInternal, "job {} counts {} unmet needs, not {}", id.value, waiting->n_unmet,
                std::get<Waiting>(implied).n_unmet);
  }
  if (const auto* blocked = std::get_if<Blocked>(&checked.state)) {
    const JobStateTag culprit = tag_of(job(blocked->culprit).state);
    if (culprit == JobStateTag::kFailed || culprit == JobStateTag::kCancelled) return {};
    return fail(ErrorCode::kInternal, "job {} is blocked by job {}, which is {}", id.value,
                blocked->culprit.value, name_of(culprit));
  }
  const SteadyTime not_before = std::get<Queued>(checked.state).not_before;
  if (not_before != SteadyTime{}) {
    const bool has_timer = std::any_of(timers_.begin(), timers_.end(), [&](const Timer& timer) {
      return timer.job == id.value && timer.at == not_before;
    });
    return has_timer ? Status{} : fail(ErrorCode::kInternal, "job {} is delayed without a timer", id.value);
  }
  if (checked.first_member == kNone) return {};
  if (checked.home == kNone)
    return fail(ErrorCode::kInternal, "job {} is queued, but in no ready queue", id.value);
  for (const ReadyQueue& queue : sweeps_[checked.home].queues) {
    if (queue.shape == checked.shape && std::count(queue.heap.begin(), queue.heap.end(), id.value) > 0)
      return {};
  }
  return fail(ErrorCode::kInternal, "job {} is missing in its ready queue", id.value);
}

Status State::check_lease(JobId id, const Leased& lease) const {
  const Worker* worker = find_worker(lease.worker);
  if (worker == nullptr || lease.slot >= worker->leases.size() || worker->leases[lease.slot] != id) {
    return fail(ErrorCode::kInternal, "job {} is leased to worker {}, which does not list it", id.value,
                lease.worker.value);
  }
  if (lease.lease.value > last_lease_)
    return fail(ErrorCode::kInternal, "lease {} was never given", lease.lease.value);
  if (!gang(id).empty()) return check_gang(id, lease);
  const std::int64_t asked = occupied(id, lease).gpus;
  if (std::popcount(lease.gpus) != asked) {
    return fail(ErrorCode::kInternal, "job {} asked for {} gpus and got {}", id.value, asked,
                std::popcount(lease.gpus));
  }
  return {};
}

Status State::check_gang(JobId id, const Leased& lease) const {
  const spec::Resources& asked = shape_of(job(id)).job.resources;
  std::int64_t n_ranks = 0;
  std::set<WorkerId> members;
  for (const GangPart& part : gang(id)) {
    n_ranks += part.ranks;
    const Worker* worker = find_worker(part.worker);
    const bool leads = part.worker == lease.worker;
    if (worker == nullptr || part.ranks == 0 || !members.insert(part.worker).second ||
        std::popcount(part.gpus) != (asked.gpus > 0 ? static_cast<int>(part.ranks) : 0) ||
        std::count(worker->parts.begin(), worker->parts.end(), id) != (leads ? 0 : 1)) {
      return fail(ErrorCode::kInternal, "job {}: its part at worker {} is wrong", id.value,
                  part.worker.value);
    }
    if (leads && part.gpus != lease.gpus)
      return fail(ErrorCode::kInternal, "job {}: its lead has other gpus", id.value);
  }
  if (n_ranks != asked.world_size() || gang(id).front().worker != lease.worker || members.size() < 2)
    return fail(ErrorCode::kInternal, "job {}: its gang is not whole", id.value);
  return {};
}

Status State::check_counts() const {
  StateCounts counts{};
  std::vector<StateCounts> by_sweep(sweeps_.size());
  std::vector<std::array<std::uint64_t, spec::kJobKindCount>> by_kind(sweeps_.size());
  for (std::uint64_t number = 0; number < jobs_.size(); ++number) {
    const JobId id{number};
    if (!has_job(id)) continue;
    const JobStateTag tag = tag_of(job(id).state);
    ++counts[static_cast<std::size_t>(tag)];
    for (const std::uint32_t sweep : sweeps_of(id)) {
      ++by_sweep[sweep][static_cast<std::size_t>(tag)];
      if (is_live(tag)) ++by_kind[sweep][static_cast<std::size_t>(shape_of(job(id)).job.kind)];
    }
  }
  if (counts != counts_) return fail(ErrorCode::kInternal, "the counts of all jobs by state are wrong");
  for (std::size_t at = 0; at < sweeps_.size(); ++at) {
    const Sweep& sweep = sweeps_[at];
    if (by_sweep[at] != sweep.counts || by_kind[at] != sweep.live_by_kind) {
      return fail(ErrorCode::kInternal, "the counts of sweep {} are wrong", sweep.row.id.value);
    }
    const bool listed = std::count(active_sweeps_.begin(), active_sweeps_.end(), at) == 1;
    if (listed != sweep.active)
      return fail(ErrorCode::kInternal, "sweep {} is listed wrongly", sweep.row.id.value);
    const bool has_ready = std::any_of(sweep.queues.begin(), sweep.queues.end(),
                                       [](const ReadyQueue& queue) { return !queue.heap.empty(); });
    if (has_ready && !sweep.row.paused && !sweep.active) {
      return fail(ErrorCode::kInternal, "sweep {} has ready jobs, but is not active", sweep.row.id.value);
    }
  }
  return {};
}

Status State::check_workers() const {
  std::size_t n_open = 0;
  for (const auto& [id, worker] : workers_) {
    std::int64_t cpus = worker.offer.cpus;
    std::int64_t memory_mb = worker.offer.memory_mb;
    std::uint64_t used_gpus = 0;
    for (const JobId held : worker.leases) {
      const auto* lease = std::get_if<Leased>(&job(held).state);
      if (lease == nullptr || lease->worker != id) {
        return fail(ErrorCode::kInternal, "worker {} lists job {}, which it does not hold", id.value,
                    held.value);
      }
    }
    for (const auto* jobs : {&worker.leases, &worker.parts}) {
      for (const JobId held : *jobs) {
        const auto* lease = std::get_if<Leased>(&job(held).state);
        if (lease == nullptr)
          return fail(ErrorCode::kInternal, "worker {} has a part of job {}, which does not run", id.value,
                      held.value);
        const Use use = use_of(held, *lease, worker);
        if ((used_gpus & use.gpus) != 0)
          return fail(ErrorCode::kInternal, "worker {}: a gpu given twice", id.value);
        used_gpus |= use.gpus;
        cpus -= use.cpus;
        memory_mb -= use.memory_mb;
      }
    }
    if (cpus != worker.free_cpus || memory_mb != worker.free_memory_mb ||
        (worker.free_gpus & used_gpus) != 0) {
      return fail(ErrorCode::kInternal, "worker {}: free resources are counted wrongly", id.value);
    }
    if ((worker.free_gpus & worker.bad_gpus) != 0)
      return fail(ErrorCode::kInternal, "worker {}: a gpu in quarantine is free", id.value);
    const bool open = worker.attached && !worker.draining && worker.quarantine.empty() &&
                      worker.leases.size() < worker.offer.credit;
    if (open != (worker.listed.index != kNone) || (open && !open_.is_true_to(worker))) {
      return fail(ErrorCode::kInternal, "worker {} is listed as open wrongly", id.value);
    }
    n_open += open ? 1 : 0;
  }
  if (n_open != open_.all().size()) return fail(ErrorCode::kInternal, "the list of open workers is too long");
  return {};
}

Json State::dump() const {
  Json jobs = Json::array();
  for (std::uint64_t number = 0; number < jobs_.size(); ++number) {
    const JobId id{number};
    if (!has_job(id)) continue;
    const Job& shown = job(id);
    Json entry = {{"id", number},
                  {"kind", spec::name_of(shape_of(shown).job.kind)},
                  {"state", name_of(tag_of(shown.state))},
                  {"attempts", shown.attempts},
                  {"failures", shown.failures},
                  {"losses", shown.losses},
                  {"needs", std::vector<std::uint32_t>(needs(id).begin(), needs(id).end())}};
    if (const auto* lease = std::get_if<Leased>(&shown.state)) {
      entry["lease"] = {{"id", lease->lease.value}, {"worker", lease->worker.value}, {"gpus", lease->gpus}};
    }
    if (const auto* blocked = std::get_if<Blocked>(&shown.state)) entry["culprit"] = blocked->culprit.value;
    jobs.push_back(std::move(entry));
  }
  Json workers = Json::array();
  for (const auto& [id, worker] : workers_) {
    workers.push_back({{"id", id.value},
                       {"name", worker.offer.name},
                       {"cpus", worker.offer.cpus},
                       {"free_cpus", worker.free_cpus},
                       {"gpus", worker.offer.gpus},
                       {"free_gpus", worker.free_gpus},
                       {"credit", worker.offer.credit},
                       {"attached", worker.attached},
                       {"draining", worker.draining},
                       {"n_leases", worker.leases.size()}});
  }
  Json sweeps = Json::array();
  for (const Sweep& sweep : sweeps_) {
    sweeps.push_back({{"id", sweep.row.id.value},
                      {"name", sweep.row.name},
                      {"priority", sweep.row.priority},
                      {"paused", sweep.row.paused},
                      {"counts", sweep.counts}});
  }
  return {{"jobs", std::move(jobs)}, {"workers", std::move(workers)}, {"sweeps", std::move(sweeps)}};
}

}  // namespace gauntlet::engine
