#include "core/base/clock.hpp"

#include <fmt/chrono.h>

#include <ctime>

namespace gauntlet {

SteadyTime SystemClock::now() const { return std::chrono::steady_clock::now(); }

std::int64_t SystemClock::wall_ms() const {
  return std::chrono::duration_cast<Milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string iso8601_utc(std::int64_t wall_ms) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(wall_ms / 1000)));
}

}  // namespace gauntlet
