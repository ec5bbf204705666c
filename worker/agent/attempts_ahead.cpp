// Leases that came before there was room for them, so that the next job can start while the coordinator makes
// results durable.
#include <algorithm>
#include <optional>
#include <utility>

#include "worker/agent/attempts.hpp"

namespace gauntlet::worker {
namespace {

/// How long a job may wait behind others that were expected to be short.
constexpr std::chrono::milliseconds kAheadLimit{1000};
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
    ++n_queued_;
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
    if (!executor.board || executor.ending || executor.leases.empty()) continue;
    if (executor.leases.size() > kMostQueued || (best && best->leases.size() <= executor.leases.size()))
      continue;
    const Attempt* const running = find(executor.leases.front());
    if (running != nullptr && running->is_plain && running->cpus == cpus_of(attempt)) best = &executor;
  }
  return best;
}

/// What waits in an executor's hands while there is room for it runs at once.
void Attempts::level_queues() {
  while (n_queued_ > 0 && ahead_.empty()) {
    const auto longest = std::ranges::max_element(pool_.executors(), {}, [](const Executor& executor) {
      return executor.board ? executor.leases.size() : 0;
    });
    Attempt* const last = longest->leases.empty() ? nullptr : find(longest->leases.back());
    if (last == nullptr || !has_room(*last) || !take_back(*last)) return;
    run_now(*last);
  }
}

/// The executor has answered, and goes on with the next that it has in hand.
void Attempts::begin_next(const Executor& executor) {
  Attempt* const next = executor.leases.empty() ? nullptr : find(executor.leases.front());
  if (next == nullptr || !std::exchange(next->is_queued, false)) return;
  --n_queued_;
  begin(*next);
  watch_limit(*next);
}

bool Attempts::take_back(Attempt& attempt) {
  Executor* const executor = attempt.is_queued ? pool_.find(attempt.ranks.front().executor) : nullptr;
  if (executor == nullptr || !pool_.take_back(*executor, attempt.lease.lease_id())) return false;
  attempt.is_queued = false;
  --n_queued_;
  attempt.ranks.front().executor = 0;
  return true;
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

void Attempts::watch_ahead() {
  if (ahead_watched_) return;
  std::optional<std::chrono::steady_clock::time_point> oldest;
  for (const std::uint64_t lease_id : waiting_ahead()) {
    const Attempt* const attempt = find(lease_id);
    if (attempt != nullptr && (!oldest || attempt->started < *oldest)) oldest = attempt->started;
  }
  if (!oldest) return;
  ahead_watched_ = true;
  ahead_limit_.expires_at(*oldest + kAheadLimit);
  ahead_limit_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    ahead_watched_ = false;
    give_back_ahead({ErrorCode::kInterrupted, "it was not started: what it waited for takes long"},
                    std::chrono::steady_clock::now() - kAheadLimit);
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
