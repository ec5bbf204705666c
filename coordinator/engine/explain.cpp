#include "coordinator/engine/explain.hpp"

#include <algorithm>
#include <bit>

#include "coordinator/engine/placement.hpp"
#include "coordinator/engine/quarantine.hpp"
#include "coordinator/engine/retry_policy.hpp"
#include "coordinator/engine/spread.hpp"
#include "core/base/overloaded.hpp"
#include "core/base/text.hpp"

namespace gauntlet::engine {
namespace {

constexpr std::size_t kMaxNamed = 10;

std::vector<JobId> unmet_needs(const State& state, JobId id) {
  std::vector<JobId> unmet;
  for (const std::uint32_t need : state.needs(id)) {
    if (!std::holds_alternative<Done>(state.job(JobId{need}).state)) unmet.push_back(JobId{need});
  }
  return unmet;
}

std::string seconds_until(SteadyTime then, SteadyTime now) {
  return human_duration(std::max(0.0, std::chrono::duration<double>(then - now).count()));
}

/// What the worker lacks in total for such jobs; "" when it could run them.
std::string total_lack(const Worker& worker, const Shape& shape) {
  const spec::Resources& asked = shape.job.resources;
  if (shape.entry != kNone && !worker.entries.contains(shape.entry)) {
    return fmt::format("does not offer {} version {}", shape.job.entry, shape.job.version);
  }
  if (shape.needs_torch && !worker.offer.has_torch) return "has no gauntlet-rank for jobs that need torch";
  for (const auto& [name, value] : asked.labels) {
    const auto found = worker.offer.labels.find(name);
    if (found == worker.offer.labels.end())
      return fmt::format("has no label {}, {} is asked for", name, value);
    if (found->second != value)
      return fmt::format("has the label {}={}, {} is asked for", name, found->second, value);
  }
  std::string lack;
  for (std::size_t index = 0; index < asked.n_variants(); ++index) {
    const spec::Resources& variant = asked.variant(index);
    std::string missing;
    if (usable_gpus(worker) < variant.gpus) {
      const std::string quarantined =
          worker.bad_gpus == 0 ? ""
                               : fmt::format(" ({} of them in quarantine)", std::popcount(worker.bad_gpus));
      missing = fmt::format("has {} gpus{}, {} are asked for", worker.offer.gpus, quarantined, variant.gpus);
    } else if (worker.offer.memory_mb < variant.memory_mb) {
      missing =
          fmt::format("has {} MiB of memory, {} are asked for", worker.offer.memory_mb, variant.memory_mb);
    } else {
      return "";
    }
    if (lack.empty()) lack = std::move(missing);  // of the variant wanted most
  }
  return lack;
}

/// The variant that lacks least of what the worker has free.
const spec::Resources& nearest_variant(const Worker& worker, const spec::Resources& asked);

/// What keeps a worker that could run the job from doing so now.
std::string current_lack(const Worker& worker, const Shape& shape, const Now& now) {
  const spec::Resources& all = shape.job.resources;
  if (!worker.attached) return "has lost its connection and may come back";
  if (worker.draining) return "is draining";
  if (!worker.quarantine.empty())
    return fmt::format("is in quarantine: {}; a restart of its agent ends that", worker.quarantine);
  if (!stays_long_enough(worker, shape, now.steady)) {
    return fmt::format(
        "leaves in {}, and the job {} {}", seconds_until(worker.offer.ends, now.steady),
        shape.least_s > all.time_s ? "begins anew when it is cut off, as it was after" : "may take",
        human_duration(static_cast<double>(shape.needs_s())));
  }
  const spec::Resources& asked = nearest_variant(worker, all);
  const std::int64_t cpus = std::min(asked.cpus, worker.offer.cpus);
  if (worker.free_cpus < cpus) {
    return fmt::format("has {} of {} cpus free, {} are needed", std::max<std::int64_t>(0, worker.free_cpus),
                       worker.offer.cpus, cpus);
  }
  const int free_gpus = std::popcount(worker.free_gpus);
  if (free_gpus < asked.gpus) {
    return fmt::format("has {} of {} gpus free, {} are needed", free_gpus, worker.offer.gpus, asked.gpus);
  }
  if (worker.free_memory_mb < asked.memory_mb) {
    return fmt::format("has {} of {} MiB of memory free, {} are needed", worker.free_memory_mb,
                       worker.offer.memory_mb, asked.memory_mb);
  }
  if (worker.leases.size() >= worker.offer.credit) {
    return fmt::format("holds {} leases, as many as it takes", worker.leases.size());
  }
  return "";
}

/// Share of what is asked that is free; the nearest worker has the most.
double nearness(const Worker& worker, const spec::Resources& asked) {
  const auto share = [](std::int64_t free, std::int64_t wanted) {
    return wanted <= 0 ? 1.0 : std::clamp(static_cast<double>(free) / static_cast<double>(wanted), 0.0, 1.0);
  };
  return share(worker.free_cpus, std::min(asked.cpus, worker.offer.cpus)) +
         share(std::popcount(worker.free_gpus), asked.gpus) + share(worker.free_memory_mb, asked.memory_mb) +
         (worker.attached && !worker.draining && worker.quarantine.empty() ? 4.0 : 0.0);
}

const spec::Resources& nearest_variant(const Worker& worker, const spec::Resources& asked) {
  const spec::Resources* nearest = &asked;
  for (const spec::Resources& other : asked.or_else) {
    if (nearness(worker, other) > nearness(worker, *nearest)) nearest = &other;
  }
  return *nearest;
}

/// The best of the variants' nearness; a worker that leaves too early is no near one.
double nearness_of_all(const Worker& worker, const Shape& shape, const Now& now) {
  return nearness(worker, nearest_variant(worker, shape.job.resources)) +
         (stays_long_enough(worker, shape, now.steady) ? 2.0 : 0.0);
}

void explain_placement(const State& state, const Job& job, const Now& now,
                       std::vector<std::string>& reasons) {
  const Shape& shape = state.shape_of(job);
  const spec::Resources& asked = shape.job.resources;
  if (state.workers().empty()) {
    reasons.emplace_back("no worker is connected; start one with `gauntlet worker`");
    return;
  }
  if (needs_spread(state, shape)) {
    for (std::string& reason : explain_spread(state, shape)) reasons.push_back(std::move(reason));
    return;
  }
  const Worker* nearest = nullptr;
  for (const auto& [id, worker] : state.workers()) {
    if (!total_lack(worker, shape).empty()) continue;
    if (nearest == nullptr || nearness_of_all(worker, shape, now) > nearness_of_all(*nearest, shape, now))
      nearest = &worker;
  }
  if (nearest == nullptr) {
    const std::size_t n_workers = state.workers().size();
    reasons.push_back(fmt::format("none of {} can run it ({} asked for):", count_of(n_workers, "worker"),
                                  spec::text_of(asked)));
    for (const auto& [id, worker] : state.workers()) {
      if (reasons.size() > kMaxNamed) break;
      reasons.push_back(fmt::format("worker {} {}", worker.offer.name, total_lack(worker, shape)));
    }
    for (std::string& reason : explain_spread(state, shape)) reasons.push_back(std::move(reason));
    return;
  }
  const std::string lack = current_lack(*nearest, shape, now);
  if (lack.empty()) {
    reasons.emplace_back("ready; jobs before it in the queue go first");
  } else {
    reasons.push_back(fmt::format("the nearest worker, {}, {}", nearest->offer.name, lack));
  }
}

void explain_queued(const State& state, JobId id, const Queued& queued, const Now& now,
                    std::vector<std::string>& reasons) {
  const Job& job = state.job(id);
  if (queued.not_before > now.steady) {
    reasons.push_back(fmt::format(
        "attempt {} failed with {}; the next one starts in {} (failure {} of at "
        "most {})",
        job.attempts, gauntlet::name_of(queued.cause), seconds_until(queued.not_before, now.steady),
        job.failures, retry_limit(state.config(), queued.cause)));
    return;
  }
  const std::vector<std::uint32_t> sweeps = state.sweeps_of(id);
  const auto is_paused = [&](std::uint32_t sweep) { return state.sweeps()[sweep].row.paused; };
  if (!sweeps.empty() && std::all_of(sweeps.begin(), sweeps.end(), is_paused)) {
    reasons.push_back(fmt::format("its sweep {} is paused; `gauntlet resume {}` lets it go on",
                                  state.sweeps()[sweeps.front()].row.name,
                                  state.sweeps()[sweeps.front()].row.id.value));
    return;
  }
  explain_placement(state, job, now, reasons);
}

}  // namespace

std::vector<JobId> mentioned_jobs(const State& state, JobId id) {
  const JobState& job = state.job(id).state;
  if (const auto* blocked = std::get_if<Blocked>(&job)) return {blocked->culprit};
  if (!std::holds_alternative<Waiting>(job)) return {};
  std::vector<JobId> unmet = unmet_needs(state, id);
  if (unmet.size() > kMaxNamed) unmet.resize(kMaxNamed);
  return unmet;
}

std::vector<std::string> explain(const State& state, JobId id, const Now& now, const JobNamer& name_of_job) {
  const Job& job = state.job(id);
  std::vector<std::string> reasons;
  std::visit(
      Overloaded{
          [&](const Waiting& waiting) {
            reasons.push_back(fmt::format("waits for {}", count_of(waiting.n_unmet, "job")));
            for (const JobId need : mentioned_jobs(state, id)) {
              reasons.push_back(fmt::format("needs {}, which is {}", name_of_job(need),
                                            gauntlet::engine::name_of(tag_of(state.job(need).state))));
            }
          },
          [&](const Queued& queued) { explain_queued(state, id, queued, now, reasons); },
          [&](const Leased& lease) {
            const Worker* worker = state.find_worker(lease.worker);
            reasons.push_back(fmt::format("attempt {} runs on worker {} since {}", job.attempts,
                                          worker == nullptr ? "?" : worker->offer.name,
                                          seconds_until(now.steady, lease.started)));
            for (const GangPart& part : state.gang(id)) {
              const Worker* member = state.find_worker(part.worker);
              reasons.push_back(fmt::format("{} on worker {}", count_of(part.ranks, "rank"),
                                            member == nullptr ? "?" : member->offer.name));
            }
            if (worker != nullptr && !worker->attached) {
              reasons.push_back(
                  fmt::format("worker {} has lost its connection and may come back", worker->offer.name));
            }
          },
          [&](const Done&) { reasons.push_back(fmt::format("done by attempt {}", job.attempts)); },
          [&](const Failed& failed) {
            reasons.push_back(fmt::format("failed with {} after {}; `gauntlet retry` runs it again",
                                          gauntlet::name_of(failed.code), count_of(job.attempts, "attempt")));
          },
          [&](const Blocked& blocked) {
            const JobState& culprit = state.job(blocked.culprit).state;
            reasons.push_back(
                fmt::format("blocked by {}, which is {}; `gauntlet retry` of that job releases it",
                            name_of_job(blocked.culprit), gauntlet::engine::name_of(tag_of(culprit))));
          },
          [&](const Cancelled&) { reasons.emplace_back("cancelled; `gauntlet retry` runs it again"); },
      },
      job.state);
  return reasons;
}

namespace {

/// Of the leases that workers hold, the share that runs: those that were leased ahead wait for cpus.
double running_share(const State& state) {
  std::int64_t held = 0;
  std::int64_t busy = 0;
  for (const auto& [id, worker] : state.workers()) {
    const std::int64_t of_worker = worker.offer.cpus - worker.free_cpus;
    held += of_worker;
    busy += std::min(of_worker, worker.offer.cpus);
  }
  return held > 0 ? static_cast<double>(busy) / static_cast<double>(held) : 1;
}

}  // namespace

double eta_s(const State& state, const Sweep& sweep) {
  std::uint64_t n_timed = 0;
  double total_s = 0;
  for (const MeanTime& time : state.times()) {
    n_timed += time.n;
    total_s += time.total_s;
  }
  double work_s = 0;
  std::uint64_t n_live = 0;
  for (std::size_t kind = 0; kind < sweep.live_by_kind.size(); ++kind) {
    const MeanTime& time = state.times()[kind];
    n_live += sweep.live_by_kind[kind];
    const double mean_s = time.n > 0    ? time.total_s / static_cast<double>(time.n)
                          : n_timed > 0 ? total_s / static_cast<double>(n_timed)
                                        : 0;
    work_s += static_cast<double>(sweep.live_by_kind[kind]) * mean_s;
  }
  if (n_live == 0) return 0;
  if (n_timed == 0) return -1;
  const std::uint64_t n_leased = sweep.counts[static_cast<std::size_t>(JobStateTag::kLeased)];
  return work_s / std::max(1.0, static_cast<double>(n_leased) * running_share(state));
}

}  // namespace gauntlet::engine
