#include "coordinator/engine/quarantine.hpp"

#include <algorithm>
#include <bit>

#include "core/base/text.hpp"

namespace gauntlet::engine {
namespace {

/// More failures in a row than this tell nothing new.
constexpr std::size_t kMaxSuspectJobs = 64;

void add_to(Suspicion& suspicion, JobId job) {
  std::vector<SuspectJob>& jobs = suspicion.jobs;
  std::erase_if(jobs, [&](const SuspectJob& known) { return known.job == job; });
  if (jobs.size() == kMaxSuspectJobs) jobs.erase(jobs.begin());
  jobs.push_back({job, false});
}

/// Whether the place has failed often enough, now that the job is done elsewhere.
bool is_proven(Suspicion& suspicion, JobId done, std::uint32_t n_needed) {
  std::uint32_t n_elsewhere = 0;
  for (SuspectJob& known : suspicion.jobs) {
    known.done_elsewhere = known.done_elsewhere || known.job == done;
    n_elsewhere += known.done_elsewhere ? 1U : 0U;
  }
  return n_needed > 0 && n_elsewhere >= n_needed;
}

void clear(Worker& worker, std::uint64_t gpus) {
  worker.suspicion.jobs.clear();
  for (auto& [device, suspicion] : worker.gpu_suspicions) {
    if ((gpus >> device & 1U) != 0) suspicion.jobs.clear();
  }
}

bool is_suspect(const Worker& worker) {
  return !worker.suspicion.jobs.empty() ||
         std::any_of(worker.gpu_suspicions.begin(), worker.gpu_suspicions.end(),
                     [](const auto& of_gpu) { return !of_gpu.second.jobs.empty(); });
}

std::string reason_of(const Suspicion& suspicion) {
  const auto n_elsewhere = std::count_if(suspicion.jobs.begin(), suspicion.jobs.end(),
                                         [](const SuspectJob& known) { return known.done_elsewhere; });
  return fmt::format("{} in a row failed here and succeeded elsewhere",
                     count_of(static_cast<std::size_t>(n_elsewhere), "job"));
}

}  // namespace

bool blames_machine(ErrorCode cause) {
  switch (cause) {
    case ErrorCode::kIo:
    case ErrorCode::kNoSpace:
    case ErrorCode::kUnreachable:
    case ErrorCode::kCollective:
    case ErrorCode::kProcessDied:
    case ErrorCode::kTimedOut:
      return true;
    case ErrorCode::kInternal:
    case ErrorCode::kInvalid:
    case ErrorCode::kNotFound:
    case ErrorCode::kRefused:
    case ErrorCode::kCorrupt:
    case ErrorCode::kOutOfMemory:
    case ErrorCode::kDiverged:
    case ErrorCode::kLost:
    case ErrorCode::kStaleLease:
    case ErrorCode::kInterrupted:
    case ErrorCode::kIncomplete:
    case ErrorCode::kJobsFailed:
      return false;
  }
  return false;
}

void suspect(State& state, JobId job, ErrorCode cause) {
  if (!blames_machine(cause)) return;
  const auto& lease = std::get<Leased>(state.job(job).state);
  Worker& worker = *state.find_worker(lease.worker);
  if (std::popcount(lease.gpus) == 1) {
    add_to(worker.gpu_suspicions[static_cast<std::uint32_t>(std::countr_zero(lease.gpus))], job);
  } else {
    add_to(worker.suspicion, job);
  }
  state.suspects().insert(worker.id);
}

std::vector<std::string> clear_and_quarantine(State& state, JobId job) {
  std::vector<std::string> sentences;
  if (state.suspects().empty()) return sentences;
  const auto& lease = std::get<Leased>(state.job(job).state);
  const std::uint32_t n_needed = state.config().quarantine_after;
  const std::vector<WorkerId> suspects(state.suspects().begin(), state.suspects().end());
  for (const WorkerId id : suspects) {
    Worker* const worker = state.find_worker(id);
    if (worker != nullptr && id == lease.worker) clear(*worker, lease.gpus);
    if (worker == nullptr || !is_suspect(*worker)) {
      state.suspects().erase(id);
      continue;
    }
    if (is_proven(worker->suspicion, job, n_needed) && worker->quarantine.empty()) {
      worker->quarantine = reason_of(worker->suspicion);
      state.refresh_open(*worker);
      sentences.push_back(
          fmt::format("worker {} goes into quarantine: {}", worker->offer.name, worker->quarantine));
    }
    for (auto& [device, suspicion] : worker->gpu_suspicions) {
      if (!is_proven(suspicion, job, n_needed) || (worker->bad_gpus >> device & 1U) != 0) continue;
      state.quarantine_gpu(*worker, device);
      sentences.push_back(fmt::format("gpu {} of worker {} goes into quarantine: {}", device,
                                      worker->offer.name, reason_of(suspicion)));
    }
  }
  return sentences;
}

std::int64_t usable_gpus(const Worker& worker) { return worker.offer.gpus - std::popcount(worker.bad_gpus); }

}  // namespace gauntlet::engine
