// A clock that a test moves. Thread safety: none.
#pragma once

#include "core/base/clock.hpp"

namespace gauntlet::testing_support {

class HandClock final : public Clock {
 public:
  [[nodiscard]] SteadyTime now() const override { return now_; }
  [[nodiscard]] std::int64_t wall_ms() const override { return 0; }
  void go(Milliseconds on) { now_ += on; }

 private:
  SteadyTime now_{};
};

}  // namespace gauntlet::testing_support
