// What the simulated clients ask for.
#include "tests/engine/simulation.hpp"

namespace gauntlet::engine {

std::vector<std::uint64_t> Simulation::known_jobs(std::uint64_t one_in) {
  std::vector<std::uint64_t> jobs;
  for (std::uint64_t id = 1; id <= coordinator_.decided.last_job; ++id) {
    if (chance(one_in)) jobs.push_back(id);
  }
  return jobs;
}

PlannedJob Simulation::random_job(std::uint64_t id) {
  PlannedJob job;
  if (uniform_) {  // many of one shape, which are leased ahead
    job.kind = spec::JobKind::kCommand;
    return job;
  }
  job.resources.cpus = static_cast<std::int64_t>(below(4));
  job.resources.gpus = any_of<std::int64_t>({0, 0, 0, 1, 2, 8});
  job.resources.memory_mb = any_of<std::int64_t>({0, 0, 300, 700});
  job.resources.time_s = any_of<std::int64_t>({0, 0, 0, 4, 60});
  if (chance(4)) {
    spec::Resources other{.cpus = static_cast<std::int64_t>(below(4)),
                          .gpus = job.resources.gpus == 0 ? 1 : 0};
    other.time_s = job.resources.time_s;
    job.resources.or_else.push_back(std::move(other));
  }
  job.kind = any_of<spec::JobKind>({spec::JobKind::kNoop, spec::JobKind::kEvaluate, spec::JobKind::kCraft});
  if (job.kind == spec::JobKind::kCraft) {
    job.entry = "pgd";
    job.version = static_cast<std::int64_t>(1 + below(2));
  }
  for (std::uint64_t n_needs = below(3); n_needs > 0 && id > 1; --n_needs) {
    const std::uint64_t need = 1 + below(id - 1);
    if (std::find(job.needs.begin(), job.needs.end(), need) == job.needs.end()) job.needs.push_back(need);
  }
  return job;
}

void Simulation::submit() {
  const std::uint64_t first = coordinator_.decided.last_job + 1;
  const std::uint64_t n_jobs = std::min(below(9), kJobs + 1 - first);
  std::vector<PlannedJob> jobs;
  for (std::uint64_t id = first; id < first + n_jobs; ++id) jobs.push_back(random_job(id));
  std::vector<std::uint64_t> also = known_jobs(10);
  if (jobs.empty() && also.empty()) return;
  Books::Asks asks;
  for (const std::uint64_t id : also) {
    if (!uniform_ && chance(2)) asks[id] = random_job(id).resources;
  }
  note("submission");
  if (!asks.empty()) note("known jobs ask for other resources");
  coordinator_.submit(1 + below(kSweeps), static_cast<std::int32_t>(below(3)), std::move(jobs),
                      std::move(also), std::move(asks));
}

void Simulation::change_by_client() {
  State& state = coordinator_.state;
  const Now now = coordinator_.now();
  std::vector<JobId> jobs;
  for (const std::uint64_t id : known_jobs(8)) jobs.push_back(JobId{id});
  switch (below(5)) {
    case 0:
      note("cancellation");
      return coordinator_.decide("cancel", on_cancel(state, now, jobs, SweepId{below(3)}, "cancelled"));
    case 1:
    case 2:
      note("retry");
      return coordinator_.decide("retry", on_retry(state, now, jobs));
    default:
      break;
  }
  const SweepId sweep{1 + below(kSweeps)};
  if (state.find_sweep(sweep) == kNone) return;
  note("pause or resume");
  coordinator_.decide("pause", *on_pause(state, now, sweep, chance(4)));
}

}  // namespace gauntlet::engine
