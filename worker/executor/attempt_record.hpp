// Log and events of one attempt, opened at once, or only when there is something to tell: three files and
// folders for every job are a third of what a program costs that does nothing. Thread safety: any thread; log
// and destruction as AttemptLog.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>

#include "worker/executor/attempt_events.hpp"
#include "worker/executor/attempt_log.hpp"

namespace gauntlet::worker {

class AttemptRecord {
 public:
  /// `program`: who runs the attempt. Nothing is opened yet.
  AttemptRecord(const AttemptContext& attempt, std::string program);

  /// From now on what the process prints is in the log. Nothing happens when it is open already or the
  /// attempt keeps no log. Errors: those of AttemptLog::open, of the first call, in every further one too.
  [[nodiscard]] Status open();
  /// Opens it, for there is something to tell.
  void progressed(const Progress& progress);
  /// The last lines; a failure opens it.
  void ended(const Result<AttemptResult>& result);
  /// Why there is no log, though there was something to tell.
  [[nodiscard]] Status opened() const { return opened_; }

 private:
  const AttemptContext& attempt_;
  const std::string program_;
  const std::chrono::steady_clock::time_point start_;
  std::mutex mutex_;
  Status opened_;
  std::optional<AttemptLog> log_;
  std::optional<AttemptEvents> events_;
};

}  // namespace gauntlet::worker
