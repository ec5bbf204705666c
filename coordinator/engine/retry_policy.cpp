#include "coordinator/engine/retry_policy.hpp"

#include <algorithm>

#include "core/base/random.hpp"

namespace gauntlet::engine {
namespace {

/// Keeps these draws apart from others that start from a job's number.
constexpr std::uint64_t kJitterTag = 0x7265747279;  // "retry"

}  // namespace

RetryPolicy retry_policy(ErrorCode cause) {
  constexpr RetryPolicy kNever{.charge = Charge::kFailure, .limit = 1, .first_wait = 0};
  constexpr RetryPolicy kTransient{.charge = Charge::kFailure, .limit = 3, .first_wait = 1};
  switch (cause) {
    // Taken away: a drain, a preemption, a lease that never arrived.
    case ErrorCode::kInterrupted:
      return {.charge = Charge::kNothing, .limit = 0, .first_wait = 0};
    // Another machine may do it; a job that takes its machine down with it must end all the same.
    case ErrorCode::kLost:
      return {.charge = Charge::kLoss, .limit = 5, .first_wait = 0};
    // The machine, its disk, its neighbours: the next attempt may find them in order.
    case ErrorCode::kIo:
    case ErrorCode::kUnreachable:
    case ErrorCode::kCollective:
    case ErrorCode::kProcessDied:
      return kTransient;
    // Damaged input is made again first; that takes as long as it takes.
    case ErrorCode::kCorrupt:
      return kTransient;
    // Somebody has to make room.
    case ErrorCode::kNoSpace:
      return {.charge = Charge::kFailure, .limit = 3, .first_wait = 30};
    // Each attempt costs its whole limit: one more, for a machine that was busy with something else.
    case ErrorCode::kTimedOut:
      return {.charge = Charge::kFailure, .limit = 2, .first_wait = 1};
    // The same job on the same numbers ends the same way.
    case ErrorCode::kInternal:
    case ErrorCode::kInvalid:
    case ErrorCode::kNotFound:
    case ErrorCode::kRefused:
    case ErrorCode::kOutOfMemory:
    case ErrorCode::kDiverged:
    // Nothing an attempt ends with.
    case ErrorCode::kStaleLease:
    case ErrorCode::kIncomplete:
    case ErrorCode::kJobsFailed:
      return kNever;
  }
  return kNever;  // a number from a newer worker
}

std::uint8_t retry_limit(const EngineConfig& config, ErrorCode cause) {
  const RetryPolicy policy = retry_policy(cause);
  switch (policy.charge) {
    case Charge::kNothing:
      return 0;
    case Charge::kLoss:
      return std::min(policy.limit, config.max_losses);
    case Charge::kFailure:
      return std::min(policy.limit, config.max_failures);
  }
  return 0;
}

Milliseconds retry_wait(const EngineConfig& config, ErrorCode cause, std::uint8_t n_failures, JobId job,
                        AttemptNo attempt) {
  constexpr int kMostDoublings = 16;
  const int doublings = std::clamp(n_failures - 1, 0, kMostDoublings);
  const Milliseconds first = config.backoff * std::int64_t{retry_policy(cause).first_wait};
  const Milliseconds longest = std::min(config.max_backoff, first * (std::int64_t{1} << doublings));
  // The job's number, not its key, which only the database holds: it is as stable, and cheaper.
  const double share = RandomStream::of(job.value, kJitterTag, attempt.value).uniform();
  const std::int64_t half = longest.count() / 2;
  return Milliseconds(half + static_cast<std::int64_t>(share * static_cast<double>(longest.count() - half)));
}

}  // namespace gauntlet::engine
