// The one source of time. Deadlines use the steady clock, display and records the wall clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace gauntlet {

using SteadyTime = std::chrono::steady_clock::time_point;
using Milliseconds = std::chrono::milliseconds;

/// Thread safety: implementations may be called from any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual SteadyTime now() const = 0;
  /// Milliseconds since 1970-01-01 UTC; for records and display, never for deadlines.
  [[nodiscard]] virtual std::int64_t wall_ms() const = 0;
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] SteadyTime now() const override;
  [[nodiscard]] std::int64_t wall_ms() const override;
};

/// "2026-01-31T12:00:00Z"
[[nodiscard]] std::string iso8601_utc(std::int64_t wall_ms);

}  // namespace gauntlet
