#include "coordinator/engine/spread.hpp"

#include <algorithm>
#include <bit>
#include <map>

#include "coordinator/engine/quarantine.hpp"
#include "core/base/text.hpp"

namespace gauntlet::engine {
namespace {

std::int64_t per_rank(std::int64_t amount, std::int64_t world) { return (amount + world - 1) / world; }

/// How many ranks so much is enough for.
std::int64_t ranks_in(const spec::Resources& asked, std::int64_t cpus, std::int64_t gpus,
                      std::int64_t memory_mb) {
  const spec::Resources one = share_of(asked, 1);
  std::int64_t n_ranks = asked.world_size();
  if (one.cpus > 0) n_ranks = std::min(n_ranks, cpus / one.cpus);
  if (one.gpus > 0) n_ranks = std::min(n_ranks, gpus);
  if (one.memory_mb > 0) n_ranks = std::min(n_ranks, memory_mb / one.memory_mb);
  return std::max<std::int64_t>(0, n_ranks);
}

bool takes_part(const Worker& worker, const Shape& shape) {
  return !worker.offer.reach.empty() && qualifies(worker, shape) && worker.quarantine.empty() &&
         !worker.draining;
}

bool fits_alone(const Worker& worker, const Shape& shape) {
  if (!qualifies(worker, shape)) return false;
  const spec::Resources& asked = shape.job.resources;
  for (std::size_t index = 0; index < asked.n_variants(); ++index) {
    const spec::Resources& variant = asked.variant(index);
    const bool has_cpus = variant.gpus > 0 || variant.cpus <= worker.offer.cpus;
    if (has_cpus && variant.gpus <= usable_gpus(worker) && variant.memory_mb <= worker.offer.memory_mb)
      return true;
  }
  return false;
}

/// Ranks by reach, of all attached workers.
template <class Count>
std::map<std::string, std::pair<std::size_t, std::int64_t>> by_reach(const State& state, Count count) {
  std::map<std::string, std::pair<std::size_t, std::int64_t>> groups;
  for (const auto& [id, worker] : state.workers()) {
    if (!worker.attached || worker.offer.reach.empty()) continue;
    auto& [n_workers, n_ranks] = groups[worker.offer.reach];
    ++n_workers;
    n_ranks += count(worker);
  }
  return groups;
}

}  // namespace

spec::Resources share_of(const spec::Resources& asked, std::int64_t n_ranks) {
  const std::int64_t world = std::max<std::int64_t>(1, asked.world_size());
  spec::Resources share;
  share.cpus = per_rank(asked.cpus, world) * n_ranks;
  share.gpus = asked.gpus > 0 ? n_ranks : 0;
  share.ranks = n_ranks;
  share.memory_mb = per_rank(asked.memory_mb, world) * n_ranks;
  share.time_s = asked.time_s;
  return share;
}

std::int64_t ranks_in_total(const Worker& worker, const Shape& shape) {
  if (!takes_part(worker, shape)) return 0;
  return ranks_in(shape.job.resources, worker.offer.cpus, usable_gpus(worker), worker.offer.memory_mb);
}

std::int64_t ranks_now(const Worker& worker, const Shape& shape) {
  if (!takes_part(worker, shape)) return 0;
  return ranks_in(shape.job.resources, worker.free_cpus, std::popcount(worker.free_gpus),
                  worker.free_memory_mb);
}

bool needs_spread(const State& state, const Shape& shape) {
  const std::int64_t world = shape.job.resources.world_size();
  if (world < 2 || !shape.needs_torch) return false;
  for (const auto& [id, worker] : state.workers()) {
    if (worker.attached && fits_alone(worker, shape)) return false;
  }
  const auto groups = by_reach(state, [&](const Worker& worker) { return ranks_in_total(worker, shape); });
  return std::any_of(groups.begin(), groups.end(),
                     [&](const auto& group) { return group.second.second >= world; });
}

std::vector<PartPlan> plan_spread(const std::vector<Worker*>& workers, std::int64_t world,
                                  const std::function<std::int64_t(Worker& worker)>& ranks_of) {
  std::map<std::string, std::vector<PartPlan>> groups;
  for (Worker* const worker : workers) {
    const std::int64_t n_ranks = ranks_of(*worker);
    if (n_ranks > 0) groups[worker->offer.reach].push_back({worker, n_ranks});
  }
  std::vector<PartPlan> best;
  for (auto& [reach, parts] : groups) {
    std::sort(parts.begin(), parts.end(), [](const PartPlan& one, const PartPlan& other) {
      return one.ranks != other.ranks ? one.ranks > other.ranks : one.worker->id < other.worker->id;
    });
    std::int64_t missing = world;
    std::size_t n_parts = 0;
    for (; n_parts < parts.size() && missing > 0; ++n_parts) {
      parts[n_parts].ranks = std::min(parts[n_parts].ranks, missing);
      missing -= parts[n_parts].ranks;
    }
    if (missing > 0) continue;
    parts.resize(n_parts);
    if (best.empty() || parts.size() < best.size()) best = parts;
  }
  return best;
}

std::vector<std::string> explain_spread(const State& state, const Shape& shape) {
  const std::int64_t world = shape.job.resources.world_size();
  std::vector<std::string> reasons;
  if (world < 2) return reasons;
  const auto total = by_reach(state, [&](const Worker& worker) { return ranks_in_total(worker, shape); });
  if (total.empty()) {
    std::int64_t n_ranks = 0;  // that a launcher could reach if there was one
    for (const auto& [id, worker] : state.workers()) {
      if (qualifies(worker, shape))
        n_ranks +=
            ranks_in(shape.job.resources, worker.offer.cpus, usable_gpus(worker), worker.offer.memory_mb);
    }
    if (n_ranks < world) return reasons;
    reasons.push_back(fmt::format(
        "no launcher of these workers reaches several machines, so its {} ranks cannot be spread; "
        "`gauntlet worker --launcher mpirun` or `srun` can",
        world));
    return reasons;
  }
  const auto free = by_reach(state, [&](const Worker& worker) { return ranks_now(worker, shape); });
  for (const auto& [reach, group] : total) {
    const auto& [n_workers, n_ranks] = group;
    if (n_ranks < world) {
      reasons.push_back(fmt::format("{} reached by {} could hold {} of its {} ranks together",
                                    count_of(n_workers, "worker"), reach, n_ranks, world));
    } else {
      reasons.push_back(fmt::format("its {} ranks go over {} reached by {}, all at once; {} of them fit now",
                                    world, count_of(n_workers, "worker"), reach,
                                    std::min(world, free.at(reach).second)));
    }
  }
  return reasons;
}

}  // namespace gauntlet::engine
