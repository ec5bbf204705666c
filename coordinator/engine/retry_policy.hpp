// What an attempt that gave no result costs its job, and when the next one may start: one rule per cause.
// Thread safety: pure functions.
#pragma once

#include <cstdint>

#include "coordinator/engine/state.hpp"

namespace gauntlet::engine {

/// Which of a job's counters an attempt's end is charged to.
enum class Charge : std::uint8_t {
  kNothing,  ///< the attempt was taken from the job: as if it had never started
  kLoss,     ///< its worker went away
  kFailure,
};

struct RetryPolicy {
  Charge charge = Charge::kFailure;
  /// A job whose counter has reached this fails when an attempt ends so; 1 = there is no second attempt. The
  /// counters of a job are common to all causes. EngineConfig::max_failures and max_losses are upper bounds.
  std::uint8_t limit = 1;
  /// Before the next attempt, in units of EngineConfig::backoff; doubles with every failure. 0 = at once.
  std::uint32_t first_wait = 0;
};

[[nodiscard]] RetryPolicy retry_policy(ErrorCode cause);

/// How many attempts may end so: the policy's limit within the configured bounds.
[[nodiscard]] std::uint8_t retry_limit(const EngineConfig& config, ErrorCode cause);

/// The wait after the `n_failures`-th failure (from 1), which was the given attempt: between half and all of
/// first_wait * 2^(n_failures - 1), at most EngineConfig::max_backoff, so that jobs that failed together do
/// not come back together. A function of its arguments alone: the same after a restart, and in every replay.
[[nodiscard]] Milliseconds retry_wait(const EngineConfig& config, ErrorCode cause, std::uint8_t n_failures,
                                      JobId job, AttemptNo attempt);

}  // namespace gauntlet::engine
