// Leases that came before there was room for them, so that the next job can start while the coordinator makes
// results durable.
#include "worker/agent/attempts.hpp"

namespace gauntlet::worker {
namespace {

/// How long a job may wait behind others that were expected to be short.
constexpr std::chrono::milliseconds kAheadLimit{1000};

}  // namespace

bool Attempts::has_room(const Attempt& attempt) const {
  return cpus_in_use_ <= 0 || cpus_in_use_ + cpus_of(attempt) <= settings_.cpus;
}

void Attempts::run_ahead() {
  while (!ahead_.empty()) {
    Attempt* const attempt = find(ahead_.front());
    if (attempt != nullptr && !has_room(*attempt)) return;
    ahead_.pop_front();
    if (attempt == nullptr) continue;
    const std::uint64_t lease_id = attempt->lease.lease_id();
    if (const Status assigned = assign(*attempt); assigned) {
      watch_limit(*attempt);
    } else {
      give_verdict(*attempt, assigned.error());
      end_ranks(*attempt);
      finish_if_over(lease_id);
    }
  }
}

void Attempts::watch_ahead() {
  Attempt* const first = ahead_.empty() ? nullptr : find(ahead_.front());
  if (first == nullptr) return;
  ahead_limit_.expires_at(first->started + kAheadLimit);
  ahead_limit_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    give_back_ahead({ErrorCode::kInterrupted, "it was not started: what it waited for takes long"},
                    std::chrono::steady_clock::now() - kAheadLimit);
    watch_ahead();
  });
}

/// All that came by that time.
void Attempts::give_back_ahead(const Error& reason, std::chrono::steady_clock::time_point came_before) {
  const std::deque<std::uint64_t> waiting = ahead_;
  for (const std::uint64_t lease_id : waiting) {
    const Attempt* const attempt = find(lease_id);
    if (attempt == nullptr || attempt->started > came_before) continue;
    stop(lease_id, reason);
  }
}

}  // namespace gauntlet::worker
