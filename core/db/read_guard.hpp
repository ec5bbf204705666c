// For statements that people typed: only reading, and not for ever.
#pragma once

#include <chrono>
#include <memory>

#include "core/db/connection.hpp"

namespace gauntlet::db {

/// While it lives, the connection compiles nothing that would write, attach a file, change a setting or load
/// code (such statements fail to prepare; see is_refusal), and a statement that runs past the time limit
/// fails with kTimedOut. The connection must outlive it.
class ReadGuard {
 public:
  /// `time_limit_s` counts from here; 0 = none. One value may have at most `max_value_bytes`.
  ReadGuard(Connection& connection, double time_limit_s, int max_value_bytes);
  ~ReadGuard();
  ReadGuard(const ReadGuard&) = delete;
  ReadGuard& operator=(const ReadGuard&) = delete;

  /// Whether an error of preparing a statement means that this guard did not let it through.
  [[nodiscard]] static bool is_refusal(const Error& error);

 private:
  Connection& connection_;
  std::unique_ptr<std::chrono::steady_clock::time_point> deadline_;
};

}  // namespace gauntlet::db
