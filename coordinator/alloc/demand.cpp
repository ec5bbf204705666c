#include "coordinator/alloc/demand.hpp"

#include <algorithm>
#include <cmath>

#include "coordinator/alloc/batch_system.hpp"
#include "core/base/text.hpp"

namespace gauntlet::alloc {
namespace {

/// Jobs that ask for nothing run side by side up to what an agent takes.
constexpr double kMostAtOnce = 512;

/// What keeps a variant off an empty node; "" when nothing does.
std::string variant_lack(const NodeOffer& offer, const spec::Resources& asked) {
  if (asked.gpus > offer.gpus)
    return fmt::format("a node has {} gpus, {} are asked for", offer.gpus, asked.gpus);
  if (offer.memory_mb > 0 && asked.memory_mb > offer.memory_mb) {
    return fmt::format("a node has {} MiB of memory, {} are asked for", offer.memory_mb, asked.memory_mb);
  }
  return "";
}

double share(std::int64_t has, std::int64_t asked) {
  return asked <= 0 ? kMostAtOnce : std::floor(static_cast<double>(has) / static_cast<double>(asked));
}

/// Jobs that run on one node side by side; those that want more processors than it has get all of them.
double per_node(const NodeOffer& offer, const Demand& demand) {
  for (std::size_t index = 0; index < demand.resources.n_variants(); ++index) {
    const spec::Resources& asked = demand.resources.variant(index);
    if (!variant_lack(offer, asked).empty()) continue;
    double n_jobs =
        std::min(share(offer.cpus, std::min(asked.cpus, offer.cpus)), share(offer.gpus, asked.gpus));
    if (offer.memory_mb > 0) n_jobs = std::min(n_jobs, share(offer.memory_mb, asked.memory_mb));
    return std::clamp(n_jobs, 1.0, kMostAtOnce);
  }
  return 0;
}

/// Nodes that the jobs are worth.
double worth_nodes(const QueueSpec& spec, const NodeOffer& offer, const Demand& demand) {
  if (demand.n_jobs <= 0 || !lack(spec, offer, demand).empty()) return 0;
  double places = demand.n_jobs;
  if (demand.mean_s >= 0 && spec.min_work_s > 0) {
    places *= std::min(1.0, demand.mean_s / static_cast<double>(spec.min_work_s));
  }
  return std::max(places, 1e-6) / per_node(offer, demand);
}

}  // namespace

NodeOffer expected_offer(const QueueSpec& spec, bool has_torch) {
  return {.cpus = std::max<std::int64_t>(1, spec.cpus),
          .gpus = spec.gpus,
          .memory_mb = spec.memory_mb,
          .has_torch = has_torch};
}

std::string lack(const QueueSpec& spec, const NodeOffer& offer, const Demand& demand) {
  const spec::Resources& asked = demand.resources;
  if (demand.needs_torch && !offer.has_torch) return "no gauntlet-rank is there for jobs that need torch";
  const std::int64_t time_s = spec.time_s - margin_s(spec);
  if (asked.time_s > time_s) {
    return fmt::format("a job may take {}, of an allocation's {} it can use {}",
                       human_duration(static_cast<double>(asked.time_s)),
                       human_duration(static_cast<double>(spec.time_s)),
                       human_duration(static_cast<double>(time_s)));
  }
  for (const auto& [name, value] : asked.labels) {
    const auto found = offer.labels.find(name);
    if (found == offer.labels.end() || found->second != value)
      return fmt::format("label {}={} is asked for, which its agents do not have", name, value);
  }
  std::string first;
  for (std::size_t index = 0; index < asked.n_variants(); ++index) {
    std::string missing = variant_lack(offer, asked.variant(index));
    if (missing.empty()) return "";
    if (first.empty()) first = std::move(missing);
  }
  return first;
}

std::int64_t useful_allocations(const QueueSpec& spec, const NodeOffer& offer,
                                const std::vector<Demand>& demand) {
  double nodes = 0;
  for (const Demand& part : demand) nodes += worth_nodes(spec, offer, part);
  return static_cast<std::int64_t>(std::ceil(nodes / static_cast<double>(spec.nodes) - 1e-9));
}

void absorb(const QueueSpec& spec, const NodeOffer& offer, std::int64_t n_allocations,
            std::vector<Demand>& demand) {
  double nodes = static_cast<double>(n_allocations * spec.nodes);
  for (Demand& part : demand) {
    const double worth = worth_nodes(spec, offer, part);
    if (worth <= 0 || nodes <= 0) continue;
    const double taken = std::min(worth, nodes);
    part.n_jobs = taken >= worth ? 0 : part.n_jobs * (1 - taken / worth);
    nodes -= taken;
  }
}

}  // namespace gauntlet::alloc
