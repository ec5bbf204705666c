// Leases that came before there was room for them, so that the next job can start while the coordinator makes
// results durable.
#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include "worker/agent/attempts.hpp"

namespace gauntlet::worker {
namespace {

/// Between two looks at what waits.
constexpr std::chrono::milliseconds kLook{50};
/// Jobs in an executor's hands behind the one that it works on.
constexpr std::size_t kMostQueued = 12;
static_assert(kMostQueued < AttemptBoard::kPlaces);

}  // namespace

bool Attempts::has_room(const Attempt& attempt) const {
  return cpus_in_use_ <= 0 || cpus_in_use_ + cpus_of(attempt) <= settings_.cpus;
}

void Attempts::run_ahead() {
  while (!ahead_.empty()) {
    Attempt* const attempt = find(ahead_.front());
    if (attempt != nullptr && !has_room(*attempt)) break;
    ahead_.pop_front();
    if (attempt != nullptr) run_now(*attempt);
  }
  fill_queues();
  level_queues();
}

/// There is room for it.
void Attempts::run_now(Attempt& attempt) {
  const std::uint64_t lease_id = attempt.lease.lease_id();
  if (const Status assigned = assign(attempt); assigned) {
    watch_limit(attempt);
  } else {
    give_verdict(attempt, assigned.error());
    end_ranks(attempt);
    finish_if_over(lease_id);
  }
}

/// Jobs that have been short follow each other in an executor without the agent's help.
void Attempts::fill_queues() {
  while (!ahead_.empty()) {
    Attempt* const attempt = find(ahead_.front());
    Executor* const executor = attempt == nullptr ? nullptr : queue_for(*attempt);
    if (attempt != nullptr && executor == nullptr) return;
    ahead_.pop_front();
    if (attempt == nullptr) continue;
    attempt->is_queued = true;
    attempt->ranks.resize(1);
    remove_old_log(*attempt);
    tell(*attempt, 0, *executor);
  }
}

/// That works on such a job with as many cpus, which the next takes over; the one with the fewest in hand.
Executor* Attempts::queue_for(const Attempt& attempt) {
  if (!attempt.is_plain) return nullptr;
  Executor* best = nullptr;
  for (Executor& executor : pool_.executors()) {
    if (!executor.board || executor.ending || executor.is_judged || executor.leases.empty()) continue;
    if (executor.leases.size() > kMostQueued || (best && best->leases.size() <= executor.leases.size()))
      continue;
    const Attempt* const running = find(executor.leases.front());
    if (running == nullptr || !running->is_plain || running->cpus != cpus_of(attempt)) continue;
    if (!is_held_up(executor)) best = &executor;
  }
  return best;
}

/// Whether what it works on is a long job.
bool Attempts::is_held_up(const Executor& executor) {
  const Attempt* const running = executor.leases.empty() ? nullptr : find(executor.leases.front());
  return running != nullptr && std::chrono::steady_clock::now() - running->started > settings_.short_limit;
}

/// What waits in an executor's hands while there is room for it runs at once: the last of the longest queue
/// whose last nobody has begun.
void Attempts::level_queues() {
  while (ahead_.empty() && pool_.has_waiting()) {
    std::vector<const Executor*> by_length;
    for (const Executor& executor : pool_.executors()) {
      if (executor.board && executor.leases.size() > 1) by_length.push_back(&executor);
    }
    std::ranges::stable_sort(by_length, std::greater(), [](const Executor* e) { return e->leases.size(); });
    Attempt* taken = nullptr;
    for (const Executor* const executor : by_length) {
      Attempt* const last = find(executor->leases.back());
      if (last == nullptr || !has_room(*last)) continue;
      if (!pool_.idle(ExecutorKind::kLight, std::nullopt)) return;  // it is better off where it is
      if (take_back(*last)) taken = last;
      if (taken != nullptr) break;
    }
    if (taken == nullptr) return;
    run_now(*taken);
  }
}

/// One that it had in hand is gone: it goes on, where that was, with the first that is left.
void Attempts::begin_next(const Executor& executor, std::uint64_t gone) {
  if (executor.leases.empty()) return;
  places_.pass(gone, executor.leases.front());
  Attempt* const next = find(executor.leases.front());
  if (next == nullptr || !std::exchange(next->is_queued, false)) return;
  begin(*next);
  watch_limit(*next);
}

/// Out of its executor's hands; false where that has begun it, or there is none.
bool Attempts::take_back(Attempt& attempt) {
  if (attempt.ranks.size() != 1) return false;
  Executor* const executor = pool_.find(attempt.ranks.front().executor);
  if (executor == nullptr || !pool_.take_back(*executor, attempt.lease.lease_id())) return false;
  attempt.is_queued = false;
  attempt.ranks.front().executor = 0;
  begin_next(*executor, attempt.lease.lease_id());
  return true;
}

/// What waits in its hands and it has not begun.
void Attempts::take_back_all(const Executor& executor) {
  std::vector<std::uint64_t> taken;
  for (const std::uint64_t lease_id : std::deque<std::uint64_t>(executor.leases)) {
    Attempt* const attempt = find(lease_id);
    if (attempt != nullptr && attempt->is_queued && take_back(*attempt)) taken.push_back(lease_id);
  }
  wait_again(taken);
}

/// They are in nobody's hands any more, and come before all others that wait.
void Attempts::wait_again(const std::vector<std::uint64_t>& leases) {
  for (auto lease_id = leases.rbegin(); lease_id != leases.rend(); ++lease_id) {
    Attempt& attempt = attempts_.at(*lease_id);
    places_.release(*lease_id);
    cpus_in_use_ -= std::exchange(attempt.cpus, 0);
    attempt.limit.reset();
    (attempt.kind == spec::JobKind::kNoop ? waiting_ : ahead_).push_front(*lease_id);
  }
  watch_ahead();
}

/// Before an attempt that its executor has begun is ended for its own sake: whatever else the executor has in
/// hand is taken from it, and what it has answered is heard. If the attempt is still there then, the executor
/// works on it and on nothing else: an executor answers for one before it begins another.
void Attempts::isolate(const Attempt& attempt) {
  if (attempt.ranks.size() != 1) return;
  const std::uint64_t lease_id = attempt.lease.lease_id();
  const std::uint64_t executor_id = attempt.ranks.front().executor;
  Executor* executor = pool_.find(executor_id);
  if (executor == nullptr || !executor->board) return;
  executor->is_judged = true;
  take_back_all(*executor);
  const std::shared_ptr<ExecutorLink> process = executor->process;
  process->read_now();
  executor = pool_.find(executor_id);
  if (executor != nullptr && find(lease_id) == nullptr) executor->is_judged = false;
  run_ahead();
}

/// What waits for cpus, or in an executor's hands for those before it, in no particular order.
std::vector<std::uint64_t> Attempts::waiting_ahead() {
  std::vector<std::uint64_t> waiting(ahead_.begin(), ahead_.end());
  for (const Executor& executor : pool_.executors()) {
    for (const std::uint64_t lease_id : executor.leases) {
      const Attempt* const attempt = find(lease_id);
      if (attempt != nullptr && attempt->is_queued) waiting.push_back(lease_id);
    }
  }
  return waiting;
}

/// Looks from time to time as long as anything waits.
void Attempts::watch_ahead() {
  if (ahead_watched_ || !has_ahead()) return;
  ahead_watched_ = true;
  ahead_limit_.expires_after(kLook);
  ahead_limit_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    ahead_watched_ = false;
    for (const Executor& executor : pool_.executors()) {
      if (executor.board && is_held_up(executor)) take_back_all(executor);
    }
    run_ahead();
    give_back_ahead({ErrorCode::kInterrupted, "it was not started: what it waited for takes long"},
                    std::chrono::steady_clock::now() - settings_.ahead_limit);
    watch_ahead();
  });
}

/// All that came by that time, and that nobody has begun.
void Attempts::give_back_ahead(const Error& reason, std::chrono::steady_clock::time_point came_before) {
  for (const std::uint64_t lease_id : waiting_ahead()) {
    Attempt* const attempt = find(lease_id);
    if (attempt == nullptr || attempt->started > came_before) continue;
    if (!attempt->is_queued || take_back(*attempt)) stop(lease_id, reason);
  }
}

}  // namespace gauntlet::worker
