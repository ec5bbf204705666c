// What an attempt tells of itself, as lines of JSON beside its log, for whoever reads it later or meanwhile:
// {"at": "2026-01-31T12:00:00Z", "event": "start", …}. Events: "start", "progress", "end".
// Thread safety: any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "core/base/json.hpp"
#include "worker/executor/executor.hpp"

namespace gauntlet::worker {

class AttemptEvents {
 public:
  /// Of rank 0 of an attempt with a log; of any other, nothing is written. A file that cannot be written is
  /// no reason to disturb the attempt: its log has the same facts in words.
  explicit AttemptEvents(const AttemptContext& attempt);
  ~AttemptEvents();
  AttemptEvents(const AttemptEvents&) = delete;
  AttemptEvents& operator=(const AttemptEvents&) = delete;

  void started(const std::string& program);
  /// Written when the phase or the epoch is new, else at most every ten seconds.
  void progressed(const Progress& progress);
  void ended(const Result<AttemptResult>& result);

 private:
  void write(const char* event, Json fields);

  const AttemptContext& attempt_;
  std::mutex mutex_;
  int file_ = -1;
  std::uint64_t n_bytes_ = 0;
  std::string phase_;
  std::int64_t epoch_ = -1;
  std::optional<std::chrono::steady_clock::time_point> written_;
};

}  // namespace gauntlet::worker
