#include "coordinator/engine/reservations.hpp"

#include <algorithm>
#include <bit>
#include <tuple>
#include <utility>

#include "coordinator/engine/placement.hpp"
#include "coordinator/engine/quarantine.hpp"
#include "coordinator/engine/spread.hpp"

namespace gauntlet::engine {
namespace {

/// The first variant that the worker could run if it were empty.
const spec::Resources& best_variant(const Worker& worker, const spec::Resources& asked) {
  for (std::size_t index = 0; index < asked.n_variants(); ++index) {
    const spec::Resources& variant = asked.variant(index);
    if (variant.gpus <= usable_gpus(worker) && variant.memory_mb <= worker.offer.memory_mb) return variant;
  }
  return asked;
}

/// A worker that may be kept, and what of it is free for the variant it would run.
struct Candidate {
  Worker* worker = nullptr;
  const spec::Resources* variant = nullptr;
  std::int64_t free_gpus = 0;  ///< 0 where the variant asks for none
};

bool has_more_free(const Candidate& one, const Candidate& other) {
  return std::tuple(-one.free_gpus, -one.worker->free_cpus, one.worker->id) <
         std::tuple(-other.free_gpus, -other.worker->free_cpus, other.worker->id);
}

}  // namespace

bool goes_before(const Sweep& one, const Sweep& other) {
  if (one.row.priority != other.row.priority) return one.row.priority > other.row.priority;
  if (one.served != other.served) return one.served < other.served;
  return one.row.id < other.row.id;
}

Reservations::~Reservations() {
  for (const Kept& kept : kept_) kept.worker->kept = kNone;
}

void Reservations::make() {
  const std::vector<QueueRef> waiting = starved();
  // Every queue keeps one worker if it can, before any keeps several.
  std::vector<std::vector<WorkerId>> before;
  for (const QueueRef ref : waiting) {
    before.push_back(std::exchange(queue(ref).reserved, {}));
    if (is_spread(queue(ref).shape)) {
      keep_gang_for(ref);
    } else {
      keep_workers_for(ref, before.back(), 1);
    }
  }
  const std::size_t most = state_.workers().size() / 2;
  for (std::size_t at = 0; at < waiting.size(); ++at) {
    if (is_spread(queue(waiting[at]).shape)) continue;
    const std::size_t room = most > kept_.size() ? most - kept_.size() : 0;
    const std::size_t has = queue(waiting[at]).reserved.size();
    keep_workers_for(waiting[at], before[at], std::min(n_owed(waiting[at]), has + room));
  }
}

/// Queues whose jobs were passed too often, in the order in which sweeps have their turn.
std::vector<QueueRef> Reservations::starved() {
  std::vector<QueueRef> found;
  for (const std::uint32_t index : state_.active_sweeps()) {
    Sweep& sweep = state_.sweeps()[index];
    for (std::uint32_t at = 0; at < sweep.queues.size(); ++at) {
      ReadyQueue& waiting = sweep.queues[at];
      if (waiting.overtaken < state_.config().max_overtakes) {
        waiting.reserved.clear();
      } else if (state_.clean_top(index, waiting)) {
        found.push_back({index, at});
      }
    }
  }
  std::sort(found.begin(), found.end(), [&](QueueRef one, QueueRef other) {
    return goes_before(state_.sweeps()[one.sweep], state_.sweeps()[other.sweep]);
  });
  return found;
}

/// Workers that the jobs of a queue have waited for long enough: one for every `max_overtakes` placements.
std::size_t Reservations::n_owed(QueueRef ref) {
  const std::uint32_t per_job = std::max<std::uint32_t>(1, state_.config().max_overtakes);
  return std::min<std::size_t>(queue(ref).overtaken / per_job, queue(ref).heap.size());
}

bool Reservations::could_take(Worker& worker, std::uint32_t shape) {
  return is_spread(shape) ? ranks_in_total(worker, state_.shape(shape)) > 0 : state_.hosts(worker, shape);
}

bool Reservations::may_be_kept(Worker& worker, std::uint32_t shape) {
  return worker.attached && !worker.draining && worker.quarantine.empty() && worker.kept == kNone &&
         could_take(worker, shape) && stays_long_enough(worker, state_.shape(shape), now_);
}

void Reservations::keep_workers_for(QueueRef ref, const std::vector<WorkerId>& before, std::size_t n_wanted) {
  ReadyQueue& waiting = queue(ref);
  const spec::Resources& asked = state_.shape(waiting.shape).job.resources;
  for (const WorkerId id : before) {
    if (waiting.reserved.size() >= n_wanted) return;
    Worker* worker = state_.find_worker(id);
    if (worker != nullptr && may_be_kept(*worker, waiting.shape))
      keep(ref, *worker, best_variant(*worker, asked));
  }
  if (waiting.reserved.size() < n_wanted) keep_emptiest_for(ref, n_wanted - waiting.reserved.size());
}

void Reservations::keep_emptiest_for(QueueRef ref, std::size_t n_more) {
  const std::uint32_t shape = queue(ref).shape;
  const spec::Resources& asked = state_.shape(shape).job.resources;
  std::vector<Candidate> candidates;
  for (auto& [id, worker] : state_.workers()) {
    if (!may_be_kept(worker, shape)) continue;
    const spec::Resources& variant = best_variant(worker, asked);
    candidates.push_back(
        {&worker, &variant, variant.gpus > 0 ? std::int64_t{std::popcount(worker.free_gpus)} : 0});
  }
  const auto last = candidates.begin() + static_cast<std::ptrdiff_t>(std::min(n_more, candidates.size()));
  std::partial_sort(candidates.begin(), last, candidates.end(), has_more_free);
  for (auto candidate = candidates.begin(); candidate != last; ++candidate)
    keep(ref, *candidate->worker, *candidate->variant);
}

/// Keeps a worker for every part of the gang, or none: half a gang kept would be of no use to anybody.
void Reservations::keep_gang_for(QueueRef ref) {
  const std::uint32_t shape = queue(ref).shape;
  const Shape& wanted = state_.shape(shape);
  std::vector<Worker*> workers;
  for (auto& [id, worker] : state_.workers()) {
    if (may_be_kept(worker, shape)) workers.push_back(&worker);
  }
  for (const PartPlan& part : plan_spread(workers, wanted.job.resources.world_size(),
                                          [&](Worker& worker) { return ranks_in_total(worker, wanted); })) {
    keep(ref, *part.worker, shares_.emplace_back(share_of(wanted.job.resources, part.ranks)));
  }
}

void Reservations::keep(QueueRef ref, Worker& worker, const spec::Resources& asked) {
  ReadyQueue& waiting = queue(ref);
  worker.kept = static_cast<std::uint32_t>(kept_.size());
  waiting.reserved.push_back(worker.id);
  kept_.push_back({&worker, ref, waiting.shape, &asked, state_.sweeps()[ref.sweep].row.priority});
}

bool Reservations::is_spread(std::uint32_t shape) {
  if (state_.shape(shape).job.resources.world_size() < 2) return false;
  const auto [known, is_new] = spread_shapes_.try_emplace(shape, false);
  if (is_new) known->second = needs_spread(state_, state_.shape(shape));
  return known->second;
}

bool Reservations::respects(const Worker& worker, QueueRef ref, std::uint32_t shape,
                            const spec::Resources& asked) const {
  if (worker.kept == kNone) return true;
  const Kept& kept = kept_[worker.kept];
  if (kept.shape == shape) return true;
  if (state_.sweeps()[ref.sweep].row.priority > kept.priority) return true;
  const auto free_gpus = static_cast<std::int64_t>(std::popcount(worker.free_gpus));
  const std::int64_t total = worker.offer.cpus;
  const auto leaves = [](std::int64_t free, std::int64_t mine, std::int64_t its) {
    return mine == 0 || its == 0 || free - mine >= its;
  };
  return leaves(worker.free_cpus, std::min(asked.cpus, total), std::min(kept.asked->cpus, total)) &&
         leaves(free_gpus, asked.gpus, kept.asked->gpus) &&
         leaves(worker.free_memory_mb, asked.memory_mb, kept.asked->memory_mb) &&
         worker.leases.size() + 1 < worker.offer.credit;
}

bool Reservations::settle(QueueRef ref, const Worker& worker) {
  const ReadyQueue& from = queue(ref);
  if (from.heap.empty()) return drop_of(ref);
  if (worker.kept != kNone && kept_[worker.kept].shape == from.shape) {
    drop(worker.kept);
    return true;
  }
  if (from.reserved.empty()) return false;
  drop(state_.find_worker(from.reserved.back())->kept);
  return true;
}

bool Reservations::drop_of(QueueRef ref) {
  bool any = false;
  for (auto at = static_cast<std::uint32_t>(kept_.size()); at-- > 0;) {
    if (kept_[at].owner != ref) continue;
    drop(at);
    any = true;
  }
  return any;
}

void Reservations::drop(std::uint32_t at) {
  const Kept dropped = kept_[at];
  std::erase(queue(dropped.owner).reserved, dropped.worker->id);
  dropped.worker->kept = kNone;
  kept_[at] = kept_.back();
  kept_.pop_back();
  if (at < kept_.size()) kept_[at].worker->kept = at;
}

}  // namespace gauntlet::engine
