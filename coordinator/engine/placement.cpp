#include "coordinator/engine/placement.hpp"

#include <algorithm>
#include <bit>
#include <deque>

#include "coordinator/engine/quarantine.hpp"
#include "coordinator/engine/spread.hpp"

namespace gauntlet::engine {
namespace {

/// A ready queue by place, since vectors of queues may move.
struct QueueRef {
  std::uint32_t sweep = kNone;
  std::uint32_t queue = 0;
  [[nodiscard]] explicit operator bool() const { return sweep != kNone; }
  bool operator==(const QueueRef&) const = default;
};

/// A worker kept for a job that was passed too often.
struct Reservation {
  Worker* worker = nullptr;
  QueueRef owner;
  std::uint32_t shape = 0;                 ///< jobs of this shape may take it, whichever sweep's turn it is
  const spec::Resources* asked = nullptr;  ///< of the variant it is kept for
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
      const std::uint64_t number = number_;
      const QueueRef next = pick();
      if (next) {
        place_top(next);
      } else if (number == number_) {  // else a worker was let go while looking
        break;
      }
    }
    for (const Reservation& kept : reservations_) kept.worker->kept = kNone;
    state_.drop_idle_sweeps();
    return std::move(leases_);
  }

 private:
  const ReadyQueue& queue_of(QueueRef ref) const { return state_.sweeps()[ref.sweep].queues[ref.queue]; }
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
      if (candidate.heap.empty() || is_stuck(candidate.shape)) continue;
      if (!state_.clean_top(index, candidate)) {
        drop_reservations_of({index, at});
      } else if (!first || candidate.heap.front() < sweep.queues[first.queue].heap.front()) {
        first = {index, at};
      }
    }
    return first;
  }

  /// Keeps workers for jobs that were passed too often; those that fit by now are placed first.
  void reserve() {
    std::vector<QueueRef> starved;
    for (const std::uint32_t index : state_.active_sweeps()) {
      Sweep& sweep = state_.sweeps()[index];
      for (std::uint32_t at = 0; at < sweep.queues.size(); ++at) {
        ReadyQueue& waiting = sweep.queues[at];
        if (waiting.overtaken < state_.config().max_overtakes) {
          waiting.reserved.clear();
        } else if (state_.clean_top(index, waiting)) {
          starved.push_back({index, at});
        }
      }
    }
    if (starved.empty()) return;
    std::sort(starved.begin(), starved.end(), [&](QueueRef one, QueueRef other) {
      return goes_before(state_.sweeps()[one.sweep], state_.sweeps()[other.sweep]);
    });
    // Every queue keeps one worker if it can, before any keeps several.
    std::vector<std::vector<WorkerId>> before;
    for (const QueueRef ref : starved) {
      before.push_back(std::exchange(queue(ref).reserved, {}));
      if (is_spread(queue(ref).shape)) {
        keep_gang_for(ref);
      } else {
        keep_workers_for(ref, before.back(), 1);
      }
    }
    const std::size_t most = state_.workers().size() / 2;
    for (std::size_t at = 0; at < starved.size(); ++at) {
      if (is_spread(queue(starved[at]).shape)) continue;
      const std::size_t room = most > reservations_.size() ? most - reservations_.size() : 0;
      const std::size_t has = queue(starved[at]).reserved.size();
      keep_workers_for(starved[at], before[at], std::min(n_owed(starved[at]), has + room));
    }
  }

  /// Workers that the jobs of a queue have waited for long enough: one for every `max_overtakes` placements.
  std::size_t n_owed(QueueRef ref) {
    const std::uint32_t per_job = std::max<std::uint32_t>(1, state_.config().max_overtakes);
    return std::min<std::size_t>(queue(ref).overtaken / per_job, queue(ref).heap.size());
  }

  bool may_be_kept(Worker& worker, std::uint32_t shape) {
    const bool could =
        is_spread(shape) ? ranks_in_total(worker, state_.shape(shape)) > 0 : state_.hosts(worker, shape);
    return worker.attached && !worker.draining && worker.quarantine.empty() && worker.kept == kNone &&
           could && stays_long_enough(worker, state_.shape(shape).job.resources, now_.steady);
  }

  /// The first variant that the worker could run if it were empty.
  static const spec::Resources& best_variant(const Worker& worker, const spec::Resources& asked) {
    for (std::size_t index = 0; index < asked.n_variants(); ++index) {
      const spec::Resources& variant = asked.variant(index);
      if (variant.gpus <= usable_gpus(worker) && variant.memory_mb <= worker.offer.memory_mb) return variant;
    }
    return asked;
  }

  void keep_workers_for(QueueRef ref, const std::vector<WorkerId>& before, std::size_t n_wanted) {
    ReadyQueue& waiting = queue(ref);
    for (const WorkerId id : before) {
      if (waiting.reserved.size() >= n_wanted) return;
      Worker* worker = state_.find_worker(id);
      if (worker != nullptr && may_be_kept(*worker, waiting.shape)) keep(ref, *worker);
    }
    const spec::Resources& asked = state_.shape(waiting.shape).job.resources;
    while (waiting.reserved.size() < n_wanted) {
      Worker* best = nullptr;
      for (auto& [id, worker] : state_.workers()) {
        if (may_be_kept(worker, waiting.shape) &&
            (best == nullptr || has_more_free(worker, *best, best_variant(worker, asked))))
          best = &worker;
      }
      if (best == nullptr) return;
      keep(ref, *best);
    }
  }

  void keep(QueueRef ref, Worker& worker) {
    keep(ref, worker, best_variant(worker, state_.shape(queue(ref).shape).job.resources));
  }

  void keep(QueueRef ref, Worker& worker, const spec::Resources& asked) {
    ReadyQueue& waiting = queue(ref);
    worker.kept = static_cast<std::uint32_t>(reservations_.size());
    waiting.reserved.push_back(worker.id);
    reservations_.push_back({&worker, ref, waiting.shape, &asked, state_.sweeps()[ref.sweep].row.priority});
  }

  /// Whether jobs of the shape go over several workers.
  bool is_spread(std::uint32_t shape) {
    if (state_.shape(shape).job.resources.world_size() < 2) return false;
    const auto [known, is_new] = spread_shapes_.try_emplace(shape, false);
    if (is_new) known->second = needs_spread(state_, state_.shape(shape));
    return known->second;
  }

  /// Keeps a worker for every part of the gang, or none: half a gang kept would be of no use to anybody.
  void keep_gang_for(QueueRef ref) {
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

  /// Ranks of a gang that the worker may take now.
  std::int64_t ranks_for(Worker& worker, QueueRef ref) const {
    const std::uint32_t shape = queue_of(ref).shape;
    const spec::Resources& asked = state_.shape(shape).job.resources;
    if (!stays_long_enough(worker, asked, now_.steady)) return 0;
    std::int64_t n_ranks = ranks_now(worker, state_.shape(shape));
    while (n_ranks > 0 && !respects_reservation(worker, ref, shape, share_of(asked, n_ranks))) --n_ranks;
    return n_ranks;
  }

  void drop_reservation(std::uint32_t at) {
    const Reservation dropped = reservations_[at];
    std::erase(queue(dropped.owner).reserved, dropped.worker->id);
    dropped.worker->kept = kNone;
    reservations_[at] = reservations_.back();
    reservations_.pop_back();
    if (at < reservations_.size()) reservations_[at].worker->kept = at;
    look_again();
  }

  void drop_reservations_of(QueueRef ref) {
    for (auto at = static_cast<std::uint32_t>(reservations_.size()); at-- > 0;) {
      if (reservations_[at].owner == ref) drop_reservation(at);
    }
  }

  static bool has_more_free(const Worker& one, const Worker& other, const spec::Resources& asked) {
    const int gpus_one = std::popcount(one.free_gpus);
    const int gpus_other = std::popcount(other.free_gpus);
    if (asked.gpus > 0 && gpus_one != gpus_other) return gpus_one > gpus_other;
    return one.free_cpus > other.free_cpus;
  }

  /// Whether the worker may take the job without touching what it keeps for another.
  bool respects_reservation(const Worker& worker, QueueRef ref, std::uint32_t shape,
                            const spec::Resources& asked) const {
    if (worker.kept == kNone) return true;
    const Reservation* kept = &reservations_[worker.kept];
    if (kept->shape == shape) return true;
    if (state_.sweeps()[ref.sweep].row.priority > kept->priority) return true;
    const auto free_gpus = static_cast<std::int64_t>(std::popcount(worker.free_gpus));
    const std::int64_t total = worker.offer.cpus;
    const auto leaves = [](std::int64_t free, std::int64_t mine, std::int64_t its) {
      return mine == 0 || its == 0 || free - mine >= its;
    };
    return leaves(worker.free_cpus, std::min(asked.cpus, total), std::min(kept->asked->cpus, total)) &&
           leaves(free_gpus, asked.gpus, kept->asked->gpus) &&
           leaves(worker.free_memory_mb, asked.memory_mb, kept->asked->memory_mb) &&
           worker.leases.size() + 1 < worker.offer.credit;
  }

  bool can_take(Worker& worker, QueueRef ref, std::uint32_t shape, const spec::Resources& asked) const {
    return fits_now(worker, asked) && state_.hosts(worker, shape) &&
           stays_long_enough(worker, asked, now_.steady) && respects_reservation(worker, ref, shape, asked);
  }

  Worker* choose_worker(QueueRef ref, const spec::Resources& asked) {
    const std::uint32_t shape = queue(ref).shape;
    const std::vector<Worker*>& open = state_.open_workers();
    if (asked.cpus == 0 && asked.gpus == 0 && asked.memory_mb == 0) {  // any worker is as good: go round
      for (std::size_t n_tried = 0; n_tried < open.size(); ++n_tried) {
        Worker* worker = open[++state_.rotation() % open.size()];
        if (can_take(*worker, ref, shape, asked)) return worker;
      }
      return nullptr;
    }
    Worker* best = nullptr;
    for (Worker* worker : open) {
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
    const spec::Resources& asked = state_.shape(shape).job.resources;
    if (is_spread(shape)) return place_gang(ref);
    Worker* worker = nullptr;
    std::size_t variant = 0;
    for (; worker == nullptr && variant < asked.n_variants(); ++variant) {
      worker = choose_worker(ref, asked.variant(variant));
    }
    if (worker == nullptr) return get_stuck(ref);
    grant(ref, *worker, asked.variant(variant - 1), {});
    count_overtakes(ref, *worker);
  }

  void get_stuck(QueueRef ref) {
    stuck_shapes_.push_back(queue(ref).shape);
    stuck_queues_.push_back(ref);
  }

  void place_gang(QueueRef ref) {
    const spec::Resources& asked = state_.shape(queue(ref).shape).job.resources;
    const std::vector<PartPlan> plan = plan_spread(state_.open_workers(), asked.world_size(),
                                                   [&](Worker& worker) { return ranks_for(worker, ref); });
    if (plan.size() < 2) return get_stuck(ref);
    std::vector<GangPart> parts;
    for (const PartPlan& part : plan) {
      parts.push_back({part.worker->id, static_cast<std::uint32_t>(part.ranks),
                       asked.gpus > 0 ? lowest_bits(part.worker->free_gpus, part.ranks) : 0});
    }
    grant(ref, *plan.front().worker, asked, std::move(parts));
    for (const PartPlan& part : plan) count_overtakes(ref, *part.worker);
  }

  void count_overtakes(QueueRef placed, Worker& worker) {
    const std::int32_t priority = state_.sweeps()[placed.sweep].row.priority;
    for (const QueueRef passed : stuck_queues_) {
      const bool outranked = priority > state_.sweeps()[passed.sweep].row.priority;
      const std::uint32_t shape = queue(passed).shape;
      const bool could =
          is_spread(shape) ? ranks_in_total(worker, state_.shape(shape)) > 0 : state_.hosts(worker, shape);
      if (!outranked && could) count_overtake(queue(passed));
    }
  }

  /// Only jobs that wait have been passed: what comes later to the queue inherits no claim of theirs.
  void count_overtake(ReadyQueue& passed) const {
    const std::uint64_t per_job = std::max<std::uint32_t>(1, state_.config().max_overtakes);
    if (passed.overtaken < per_job * passed.heap.size()) ++passed.overtaken;
  }

  void grant(QueueRef ref, Worker& worker, const spec::Resources& asked, std::vector<GangPart> parts) {
    ReadyQueue& from = queue(ref);
    const JobId id{from.heap.front()};
    std::pop_heap(from.heap.begin(), from.heap.end(), std::greater<>{});
    from.heap.pop_back();
    from.overtaken -= std::min(from.overtaken, state_.config().max_overtakes);
    if (parts.empty()) {
      settle_reservations(ref, worker);
    } else {
      drop_reservations_of(ref);  // all of them were for this gang; the next one starts its own claim
    }
    Leased lease{.lease = state_.next_lease(),
                 .worker = worker.id,
                 .gpus = parts.empty() ? lowest_bits(worker.free_gpus, asked.gpus) : parts.front().gpus,
                 .started = now_.steady,
                 .slot = 0};
    if (asked.time_s > 0) lease.deadline = now_.steady + std::chrono::seconds(asked.time_s);
    const AttemptNo attempt{++state_.job(id).attempts};
    state_.sweeps()[ref.sweep].served += cost_of(asked);
    if (!parts.empty()) state_.set_gang(id, parts);
    state_.set_state(id, lease);
    transitions_.push_back({now_.wall_ms, JobLeased{id, lease.lease, attempt, worker.id, lease.gpus, parts}});
    list_grant(worker.id, {id, lease.lease, attempt, lease.gpus, std::move(parts)});
  }

  /// A job of the queue was given to the worker: one kept worker fewer is needed.
  void settle_reservations(QueueRef ref, const Worker& worker) {
    if (queue(ref).heap.empty()) return drop_reservations_of(ref);
    if (worker.kept != kNone && reservations_[worker.kept].shape == queue(ref).shape) {
      return drop_reservation(worker.kept);
    }
    if (queue(ref).reserved.empty()) return;
    drop_reservation(state_.find_worker(queue(ref).reserved.back())->kept);
  }

  /// A worker is not kept any more: what did not fit because of that may fit now.
  void look_again() {
    stuck_shapes_.clear();
    stuck_queues_.clear();
    number_ = state_.next_round();
  }

  void list_grant(WorkerId worker, LeaseGrant given) {
    const auto [at, is_new] = batch_of_.try_emplace(worker, leases_.size());
    if (is_new) leases_.push_back({worker, {}});
    leases_[at->second].grants.push_back(std::move(given));
  }

  State& state_;
  Now now_;
  std::vector<Transition>& transitions_;
  std::uint64_t number_;
  std::vector<std::uint32_t> stuck_shapes_;
  std::vector<QueueRef> stuck_queues_;
  std::vector<Reservation> reservations_;
  std::deque<spec::Resources> shares_;                     ///< that reservations ask for
  std::unordered_map<std::uint32_t, bool> spread_shapes_;  ///< by shape, as far as worked out
  std::vector<GiveLeases> leases_;
  std::unordered_map<WorkerId, std::size_t> batch_of_;
};

}  // namespace

bool fits_now(const Worker& worker, const spec::Resources& asked) {
  return worker.free_cpus >= std::min(asked.cpus, worker.offer.cpus) &&
         worker.free_memory_mb >= asked.memory_mb && std::popcount(worker.free_gpus) >= asked.gpus;
}

bool stays_long_enough(const Worker& worker, const spec::Resources& asked, SteadyTime now) {
  return asked.time_s == 0 || worker.offer.ends == SteadyTime::max() ||
         now + std::chrono::seconds(asked.time_s) <= worker.offer.ends;
}

std::vector<GiveLeases> place(State& state, const Now& now, std::vector<Transition>& transitions) {
  return Round(state, now, transitions).run();
}

}  // namespace gauntlet::engine
