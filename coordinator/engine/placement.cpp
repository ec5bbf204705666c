#include "coordinator/engine/placement.hpp"

#include <algorithm>
#include <bit>
#include <unordered_map>

#include "coordinator/engine/ahead.hpp"
#include "coordinator/engine/reservations.hpp"
#include "coordinator/engine/spread.hpp"

namespace gauntlet::engine {
namespace {

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
      : state_(state),
        now_(now),
        transitions_(transitions),
        kept_(state, now.steady),
        number_(state.next_round()) {}

  std::vector<GiveLeases> run() {
    if (open().empty() || state_.active_sweeps().empty()) return {};
    kept_.make();
    while (!open().empty()) {
      const std::uint64_t number = number_;
      const QueueRef next = pick();
      if (next) {
        place_top(next);
      } else if (number == number_) {  // else a worker was let go while looking
        break;
      }
    }
    state_.drop_idle_sweeps();
    return std::move(leases_);
  }

 private:
  const std::vector<Worker*>& open() const { return state_.open_workers().all(); }
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

  QueueRef first_of(std::uint32_t index, Sweep& sweep) {
    QueueRef first;
    for (std::uint32_t at = 0; at < sweep.queues.size(); ++at) {
      ReadyQueue& candidate = sweep.queues[at];
      if (candidate.heap.empty() || is_stuck(candidate.shape)) continue;
      if (!state_.clean_top(index, candidate)) {
        if (kept_.drop_of({index, at})) look_again();
      } else if (!first || candidate.heap.front() < sweep.queues[first.queue].heap.front()) {
        first = {index, at};
      }
    }
    return first;
  }

  /// Ranks of a gang that the worker may take now.
  std::int64_t ranks_for(Worker& worker, QueueRef ref) {
    const std::uint32_t shape = queue(ref).shape;
    const spec::Resources& asked = state_.shape(shape).job.resources;
    if (!stays_long_enough(worker, state_.shape(shape), now_.steady)) return 0;
    std::int64_t n_ranks = ranks_now(worker, state_.shape(shape));
    while (n_ranks > 0 && !kept_.respects(worker, ref, shape, share_of(asked, n_ranks))) --n_ranks;
    return n_ranks;
  }

  bool can_take(Worker& worker, QueueRef ref, std::uint32_t shape, const spec::Resources& asked,
                bool ahead = false) const {
    const bool fits =
        ahead ? fits_ahead(state_, worker, state_.shape(shape), asked) : fits_now(worker, asked);
    return fits && state_.hosts(worker, shape) &&
           stays_long_enough(worker, state_.shape(shape), now_.steady) &&
           kept_.respects(worker, ref, shape, asked);
  }

  Worker* choose_worker(QueueRef ref, const spec::Resources& asked) {
    const std::uint32_t shape = queue(ref).shape;
    const auto takes = [&](Worker& worker) { return can_take(worker, ref, shape, asked); };
    if (asked.cpus != 0 || asked.gpus != 0 || asked.memory_mb != 0) {
      Worker* const free = state_.open_workers().first_for(asked, takes);
      return free != nullptr || state_.shape(shape).recent.n == 0 ? free : choose_ahead(ref, asked);
    }
    for (std::size_t n_tried = 0; n_tried < open().size(); ++n_tried) {  // any is as good: go round
      Worker* const worker = open()[++state_.rotation() % open().size()];
      if (takes(*worker)) return worker;
    }
    return nullptr;
  }

  /// A worker that starts the job when one of its short ones ends, least busy first.
  Worker* choose_ahead(QueueRef ref, const spec::Resources& asked) {
    const std::uint32_t shape = queue(ref).shape;
    spec::Resources however_busy = asked;
    however_busy.cpus = INT64_MIN;
    return state_.open_workers().first_for(
        however_busy, [&](Worker& worker) { return can_take(worker, ref, shape, asked, /*ahead=*/true); });
  }

  void place_top(QueueRef ref) {
    const std::uint32_t shape = queue(ref).shape;
    const spec::Resources& asked = state_.shape(shape).job.resources;
    if (kept_.is_spread(shape)) return place_gang(ref);
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
    const std::vector<PartPlan> plan =
        plan_spread(open(), asked.world_size(), [&](Worker& worker) { return ranks_for(worker, ref); });
    if (plan.size() < 2) return get_stuck(ref);
    std::vector<GangPart> parts;
    parts.reserve(plan.size());
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
      if (!outranked && kept_.could_take(worker, queue(passed).shape)) count_overtake(queue(passed));
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
      if (kept_.settle(ref, worker)) look_again();
    } else if (kept_.drop_of(ref)) {  // all of them were for this gang; the next one starts its own claim
      look_again();
    }
    const bool is_ahead = parts.empty() && !fits_now(worker, asked);
    Leased lease{.lease = state_.next_lease(),
                 .worker = worker.id,
                 .gpus = parts.empty() ? lowest_bits(worker.free_gpus, asked.gpus) : parts.front().gpus,
                 .started = now_.steady,
                 .slot = 0};
    if (asked.time_s > 0) lease.deadline = now_.steady + std::chrono::seconds(asked.time_s);
    if (asked.time_s > 0 && is_ahead) lease.deadline += state_.config().ahead_wait;
    const AttemptNo attempt{++state_.job(id).attempts};
    state_.sweeps()[ref.sweep].served += cost_of(asked);
    if (!parts.empty()) state_.set_gang(id, parts);
    state_.set_state(id, lease);
    transitions_.push_back({now_.wall_ms, JobLeased{id, lease.lease, attempt, worker.id, lease.gpus, parts}});
    list_grant(worker.id, {id, lease.lease, attempt, lease.gpus, std::move(parts)});
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
  Reservations kept_;
  std::uint64_t number_;
  std::vector<std::uint32_t> stuck_shapes_;
  std::vector<QueueRef> stuck_queues_;
  std::vector<GiveLeases> leases_;
  std::unordered_map<WorkerId, std::size_t> batch_of_;
};

}  // namespace

bool fits_now(const Worker& worker, const spec::Resources& asked) {
  return worker.free_cpus >= std::min(asked.cpus, worker.offer.cpus) &&
         worker.free_memory_mb >= asked.memory_mb && std::popcount(worker.free_gpus) >= asked.gpus;
}

bool stays_long_enough(const Worker& worker, const Shape& shape, SteadyTime now) {
  return shape.needs_s() == 0 || worker.offer.ends == SteadyTime::max() ||
         now + std::chrono::seconds(shape.needs_s()) <= worker.offer.ends;
}

std::vector<GiveLeases> place(State& state, const Now& now, std::vector<Transition>& transitions) {
  return Round(state, now, transitions).run();
}

}  // namespace gauntlet::engine
