// Workers of the state: what they offer, what of it is free, and what their leases occupy.
#include <algorithm>
#include <bit>

#include "coordinator/engine/quarantine.hpp"
#include "coordinator/engine/spread.hpp"
#include "coordinator/engine/state.hpp"
#include "core/base/check.hpp"

namespace gauntlet::engine {
namespace {

std::uint64_t all_gpus(std::int64_t n) { return n >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << n) - 1; }

bool fits_in_total(const Worker& worker, const spec::Resources& asked) {
  for (std::size_t index = 0; index < asked.n_variants(); ++index) {
    const spec::Resources& variant = asked.variant(index);
    if (variant.gpus <= usable_gpus(worker) && variant.memory_mb <= worker.offer.memory_mb) return true;
  }
  return false;
}

bool has_labels(const WorkerOffer& offer, const std::map<std::string, std::string>& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& label) {
    const auto found = offer.labels.find(label.first);
    return found != offer.labels.end() && found->second == label.second;
  });
}

}  // namespace

bool qualifies(const Worker& worker, const Shape& shape) {
  return has_labels(worker.offer, shape.job.resources.labels) &&
         (!shape.needs_torch || worker.offer.has_torch) &&
         (shape.entry == kNone || worker.entries.contains(shape.entry));
}

Worker* State::find_worker(WorkerId id) {
  const auto found = workers_.find(id);
  return found == workers_.end() ? nullptr : &found->second;
}

const Worker* State::find_worker(WorkerId id) const {
  const auto found = workers_.find(id);
  return found == workers_.end() ? nullptr : &found->second;
}

Worker* State::find_agent(const std::string& agent_id) {
  const auto found = agents_.find(agent_id);
  return found == agents_.end() ? nullptr : find_worker(found->second);
}

Worker& State::add_worker(WorkerId id, const WorkerOffer& offer) {
  Worker& worker = workers_[id];
  worker.id = id;
  agents_[offer.agent_id] = id;
  set_offer(worker, offer);
  return worker;
}

void State::set_offer(Worker& worker, const WorkerOffer& offer) {
  worker.offer = offer;
  worker.hosts.clear();
  worker.entries.clear();
  for (const auto& [kind, name, version] : offer.entries)
    worker.entries.insert(intern_entry(kind, name, version));
  worker.offer.entries.clear();
  count_free(worker);
  refresh_open(worker);
}

void State::count_free(Worker& worker) {
  worker.free_cpus = worker.offer.cpus;
  worker.free_memory_mb = worker.offer.memory_mb;
  worker.free_gpus = all_gpus(worker.offer.gpus) & ~worker.bad_gpus;
  open_.update(worker);
  for (const auto* jobs : {&worker.leases, &worker.parts}) {
    for (const JobId id : *jobs) occupy(worker, use_of(id, std::get<Leased>(job(id).state), worker));
  }
}

State::Use State::use_of(JobId id, const Leased& lease, const Worker& worker) const {
  const std::span<const GangPart> parts = gang(id);
  if (parts.empty()) {
    const spec::Resources& asked = occupied(id, lease);
    return {std::min(asked.cpus, worker.offer.cpus), asked.memory_mb, lease.gpus};
  }
  for (const GangPart& part : parts) {
    if (part.worker != worker.id) continue;
    const spec::Resources share = share_of(shape_of(job(id)).job.resources, part.ranks);
    return {std::min(share.cpus, worker.offer.cpus), share.memory_mb, part.gpus};
  }
  GAUNTLET_CHECK(false);
  return {};
}

void State::occupy(Worker& worker, const Use& use) {
  worker.free_cpus -= use.cpus;
  worker.free_memory_mb -= use.memory_mb;
  worker.free_gpus &= ~use.gpus;
  open_.update(worker);
}

void State::free(Worker& worker, const Use& use) {
  worker.free_cpus += use.cpus;
  worker.free_memory_mb += use.memory_mb;
  worker.free_gpus |= use.gpus & all_gpus(worker.offer.gpus) & ~worker.bad_gpus;
  open_.update(worker);
}

std::span<const GangPart> State::gang(JobId id) const {
  if (gangs_.empty()) return {};
  const auto found = gangs_.find(id);
  return found == gangs_.end() ? std::span<const GangPart>() : std::span<const GangPart>(found->second);
}

void State::remove_worker(WorkerId id) {
  Worker* worker = find_worker(id);
  GAUNTLET_CHECK(worker != nullptr && worker->leases.empty() && worker->parts.empty());
  worker->attached = false;
  refresh_open(*worker);
  const auto agent = agents_.find(worker->offer.agent_id);
  if (agent != agents_.end() && agent->second == id) agents_.erase(agent);
  workers_.erase(id);
}

void State::refresh_open(Worker& worker) {
  const bool open = worker.attached && !worker.draining && worker.quarantine.empty() &&
                    worker.leases.size() < worker.offer.credit;
  const bool listed = worker.listed.index != kNone;
  if (open && !listed) open_.add(worker);
  if (!open && listed) open_.remove(worker);
}

void State::quarantine_gpu(Worker& worker, std::uint32_t device) {
  worker.bad_gpus |= std::uint64_t{1} << device;
  worker.free_gpus &= ~worker.bad_gpus;
  worker.hosts.clear();
  open_.update(worker);
}

void State::take(JobId id, Leased& lease) {
  Worker* worker = find_worker(lease.worker);
  GAUNTLET_CHECK(worker != nullptr);
  occupy(*worker, use_of(id, lease, *worker));
  for (const GangPart& part : gang(id)) {
    if (part.worker == lease.worker) continue;
    Worker* const other = find_worker(part.worker);
    GAUNTLET_CHECK(other != nullptr);
    occupy(*other, use_of(id, lease, *other));
    other->parts.push_back(id);
  }
  lease.slot = static_cast<std::uint32_t>(worker->leases.size());
  worker->leases.push_back(id);
  refresh_open(*worker);
}

void State::release(JobId id, const Leased& lease) {
  Worker* worker = find_worker(lease.worker);
  GAUNTLET_CHECK(worker != nullptr && worker->leases[lease.slot] == id);
  free(*worker, use_of(id, lease, *worker));
  for (const GangPart& part : gang(id)) {
    if (part.worker == lease.worker) continue;
    Worker* const other = find_worker(part.worker);
    GAUNTLET_CHECK(other != nullptr);
    free(*other, use_of(id, lease, *other));
    std::erase(other->parts, id);
  }
  if (!gangs_.empty()) gangs_.erase(id);
  const JobId last = worker->leases.back();
  worker->leases[lease.slot] = last;
  std::get<Leased>(job(last).state).slot = lease.slot;
  worker->leases.pop_back();
  refresh_open(*worker);
}

const spec::Resources& State::occupied(JobId id, const Leased& lease) const {
  const spec::Resources& asked = shape_of(job(id)).job.resources;
  return asked.or_else.empty() ? asked : asked.with_gpus(std::popcount(lease.gpus));
}

bool State::hosts(Worker& worker, std::uint32_t shape_index) const {
  if (worker.hosts.size() <= shape_index) worker.hosts.resize(shapes_.size(), 0);
  std::uint8_t& known = worker.hosts[shape_index];
  if (known == 0) {
    const Shape& asked = shapes_[shape_index];
    const bool yes = fits_in_total(worker, asked.job.resources) && qualifies(worker, asked);
    known = yes ? 2 : 1;
  }
  return known == 2;
}

}  // namespace gauntlet::engine
