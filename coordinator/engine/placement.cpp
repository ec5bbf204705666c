#include "coordinator/engine/placement.hpp"

#include <algorithm>
#include <bit>

namespace gauntlet::engine {
namespace {

/// A ready queue by place, since vectors of queues may move.
struct QueueRef {
  std::uint32_t sweep = kNone;
  std::uint32_t queue = 0;
  [[nodiscard]] explicit operator bool() const { return sweep != kNone; }
};

/// A worker kept for a job that was passed too often.
struct Reservation {
  WorkerId worker;
  std::uint32_t shape = 0;  ///< jobs of this shape may take it, whichever sweep's turn it is
  spec::Resources asked;
  std::int32_t priority = 0;
};

/// GPUs weigh as much as eight threads in the share a sweep gets.
double cost_of(const spec::Resources& asked) {
  return static_cast<double>(std::max<std::int64_t>({1, asked.cpus, 8 * asked.gpus}));
}

std::uint64_t lowest_bits(std::uint64_t mask, std::int64_t n) {
  std::uint64_t taken = 0;
  for (; n > 0; --n) {
    const std::uint64_t bit = mask & (~mask + 1);
    taken |= bit;
    mask ^= bit;
  }
  return taken;
}

class Round {
 public:
  Round(State& state, const Now& now, std::vector<Transition>& transitions)
      : state_(state), now_(now), transitions_(transitions), number_(state.next_round()) {}

  std::vector<GiveLeases> run() {
    if (state_.open_workers().empty() || state_.active_sweeps().empty()) return {};
    reserve();
    while (!state_.open_workers().empty()) {
      const QueueRef next = pick();
      if (!next) break;
      place_top(next);
    }
    state_.drop_idle_sweeps();
    return std::move(leases_);
  }

 private:
  ReadyQueue& queue(QueueRef ref) { return state_.sweeps()[ref.sweep].queues[ref.queue]; }

  bool is_stuck(std::uint32_t shape) const {
    return std::find(stuck_shapes_.begin(), stuck_shapes_.end(), shape) != stuck_shapes_.end();
  }

  /// The queue whose turn it is, among those whose shape was not yet found not to fit.
  QueueRef pick() {
    QueueRef best;
    for (const std::uint32_t index : state_.active_sweeps()) {
      Sweep& sweep = state_.sweeps()[index];
      if (sweep.exhausted_round == number_ || sweep.row.paused) continue;
      if (best && !goes_before(sweep, state_.sweeps()[best.sweep])) continue;
      const QueueRef first = first_of(index, sweep);
      if (first) {
        best = first;
      } else {
        sweep.exhausted_round = number_;
      }
    }
    return best;
  }

  static bool goes_before(const Sweep& one, const Sweep& other) {
    if (one.row.priority != other.row.priority) return one.row.priority > other.row.priority;
    if (one.served != other.served) return one.served < other.served;
    return one.row.id < other.row.id;
  }

  QueueRef first_of(std::uint32_t index, Sweep& sweep) {
    QueueRef first;
    for (std::uint32_t at = 0; at < sweep.queues.size(); ++at) {
      ReadyQueue& candidate = sweep.queues[at];
      if (candidate.heap.empty() || is_stuck(candidate.shape) || !state_.clean_top(index, candidate))
        continue;
      if (!first || candidate.heap.front() < sweep.queues[first.queue].heap.front()) first = {index, at};
    }
    return first;
  }

  /// Keeps workers for jobs that were passed too often; those that fit by now are placed first.
  void reserve() {
    std::vector<QueueRef> starved;
    for (const std::uint32_t index : state_.active_sweeps()) {
      Sweep& sweep = state_.sweeps()[index];
      for (std::uint32_t at = 0; at < sweep.queues.size(); ++at) {
        if (sweep.queues[at].overtaken < state_.config().max_overtakes) continue;
        if (state_.clean_top(index, sweep.queues[at])) starved.push_back({index, at});
      }
    }
    std::sort(starved.begin(), starved.end(), [&](QueueRef one, QueueRef other) {
      return goes_before(state_.sweeps()[one.sweep], state_.sweeps()[other.sweep]);
    });
    for (const QueueRef ref : starved) keep_worker_for(ref);
  }

  void keep_worker_for(QueueRef ref) {
    ReadyQueue& waiting = queue(ref);
    const spec::Resources& asked = state_.shape(waiting.shape).job.resources;
    const WorkerId before = waiting.reserved;
    waiting.reserved = {};
    Worker* kept = nullptr;
    for (const auto& [id, known] : state_.workers()) {
      Worker* worker = state_.find_worker(id);
      const bool usable = worker->attached && !worker->draining && worker->quarantine.empty() &&
                          state_.hosts(*worker, waiting.shape) && reservation_of(id) == nullptr;
      if (!usable) continue;
      if (kept == nullptr || id == before || (kept->id != before && has_more_free(*worker, *kept, asked)))
        kept = worker;
    }
    if (kept == nullptr) return;
    waiting.reserved = kept->id;
    reservations_.push_back({kept->id, waiting.shape, asked, state_.sweeps()[ref.sweep].row.priority});
  }

  static bool has_more_free(const Worker& one, const Worker& other, const spec::Resources& asked) {
    const int gpus_one = std::popcount(one.free_gpus);
    const int gpus_other = std::popcount(other.free_gpus);
    if (asked.gpus > 0 && gpus_one != gpus_other) return gpus_one > gpus_other;
    return one.free_cpus > other.free_cpus;
  }

  const Reservation* reservation_of(WorkerId worker) const {
    for (const Reservation& reservation : reservations_) {
      if (reservation.worker == worker) return &reservation;
    }
    return nullptr;
  }

  /// Whether the worker may take the job without touching what it keeps for another.
  bool respects_reservation(const Worker& worker, QueueRef ref, std::uint32_t shape) const {
    const Reservation* kept = reservation_of(worker.id);
    if (kept == nullptr || kept->shape == shape) return true;
    if (state_.sweeps()[ref.sweep].row.priority > kept->priority) return true;
    const spec::Resources& asked = state_.shape(shape).job.resources;
    const auto free_gpus = static_cast<std::int64_t>(std::popcount(worker.free_gpus));
    const std::int64_t total = worker.offer.cpus;
    const auto leaves = [](std::int64_t free, std::int64_t mine, std::int64_t its) {
      return mine == 0 || its == 0 || free - mine >= its;
    };
    return leaves(worker.free_cpus, std::min(asked.cpus, total), std::min(kept->asked.cpus, total)) &&
           leaves(free_gpus, asked.gpus, kept->asked.gpus) &&
           leaves(worker.free_memory_mb, asked.memory_mb, kept->asked.memory_mb) &&
           worker.leases.size() + 1 < worker.offer.credit;
  }

  bool can_take(Worker& worker, QueueRef ref, std::uint32_t shape, const spec::Resources& asked) const {
    return fits_now(worker, asked) && state_.hosts(worker, shape) && respects_reservation(worker, ref, shape);
  }

  Worker* choose_worker(QueueRef ref) {
    const std::uint32_t shape = queue(ref).shape;
    const spec::Resources& asked = state_.shape(shape).job.resources;
    const std::vector<WorkerId>& open = state_.open_workers();
    if (asked.cpus == 0 && asked.gpus == 0 && asked.memory_mb == 0) {  // any worker is as good: go round
      for (std::size_t n_tried = 0; n_tried < open.size(); ++n_tried) {
        Worker* worker = state_.find_worker(open[++state_.rotation() % open.size()]);
        if (can_take(*worker, ref, shape, asked)) return worker;
      }
      return nullptr;
    }
    Worker* best = nullptr;
    for (const WorkerId id : open) {
      Worker* worker = state_.find_worker(id);
      if (can_take(*worker, ref, shape, asked) && (best == nullptr || is_better(*worker, *best, asked)))
        best = worker;
    }
    return best;
  }

  /// GPU jobs fill the fullest worker, so that wide gangs find whole ones; others spread, away from GPUs.
  static bool is_better(const Worker& one, const Worker& other, const spec::Resources& asked) {
    const int gpus_one = std::popcount(one.free_gpus);
    const int gpus_other = std::popcount(other.free_gpus);
    if (asked.gpus > 0 && gpus_one != gpus_other) return gpus_one < gpus_other;
    if (asked.gpus == 0 && one.offer.gpus != other.offer.gpus) return one.offer.gpus < other.offer.gpus;
    if (one.free_cpus != other.free_cpus) return one.free_cpus > other.free_cpus;
    return one.id < other.id;
  }

  void place_top(QueueRef ref) {
    const std::uint32_t shape = queue(ref).shape;
    Worker* worker = choose_worker(ref);
    if (worker == nullptr) {
      stuck_shapes_.push_back(shape);
      stuck_queues_.push_back(ref);
      return;
    }
    grant(ref, *worker);
    const std::int32_t priority = state_.sweeps()[ref.sweep].row.priority;
    for (const QueueRef passed : stuck_queues_) {
      const bool outranked = priority > state_.sweeps()[passed.sweep].row.priority;
      if (!outranked && state_.hosts(*worker, queue(passed).shape)) ++queue(passed).overtaken;
    }
  }

  void grant(QueueRef ref, Worker& worker) {
    ReadyQueue& from = queue(ref);
    const JobId id{from.heap.front()};
    std::pop_heap(from.heap.begin(), from.heap.end(), std::greater<>{});
    from.heap.pop_back();
    from.overtaken = 0;
    from.reserved = {};
    if (std::erase_if(reservations_, [&](const Reservation& kept) { return kept.shape == from.shape; }) > 0) {
      look_again();
    }
    const spec::Resources& asked = state_.shape(from.shape).job.resources;
    Leased lease{.lease = state_.next_lease(),
                 .worker = worker.id,
                 .gpus = lowest_bits(worker.free_gpus, asked.gpus),
                 .started = now_.steady,
                 .slot = 0};
    if (asked.time_s > 0) lease.deadline = now_.steady + std::chrono::seconds(asked.time_s);
    const AttemptNo attempt{++state_.job(id).attempts};
    state_.sweeps()[ref.sweep].served += cost_of(asked);
    state_.set_state(id, lease);
    transitions_.push_back({now_.wall_ms, JobLeased{id, lease.lease, attempt, worker.id, lease.gpus}});
    list_grant(worker.id, {id, lease.lease, attempt, lease.gpus});
  }

  /// A worker is not kept any more: what did not fit because of that may fit now.
  void look_again() {
    stuck_shapes_.clear();
    stuck_queues_.clear();
    number_ = state_.next_round();
  }

  void list_grant(WorkerId worker, const LeaseGrant& given) {
    const auto [at, is_new] = batch_of_.try_emplace(worker, leases_.size());
    if (is_new) leases_.push_back({worker, {}});
    leases_[at->second].grants.push_back(given);
  }

  State& state_;
  Now now_;
  std::vector<Transition>& transitions_;
  std::uint64_t number_;
  std::vector<std::uint32_t> stuck_shapes_;
  std::vector<QueueRef> stuck_queues_;
  std::vector<Reservation> reservations_;
  std::vector<GiveLeases> leases_;
  std::unordered_map<WorkerId, std::size_t> batch_of_;
};

}  // namespace

bool fits_now(const Worker& worker, const spec::Resources& asked) {
  return worker.free_cpus >= std::min(asked.cpus, worker.offer.cpus) &&
         worker.free_memory_mb >= asked.memory_mb && std::popcount(worker.free_gpus) >= asked.gpus;
}

std::vector<GiveLeases> place(State& state, const Now& now, std::vector<Transition>& transitions) {
  return Round(state, now, transitions).run();
}

}  // namespace gauntlet::engine
