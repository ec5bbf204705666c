// Where `gauntlet logs` reads: from the coordinator, which asks the workers, or, when none runs, from the
// work folder itself. Thread safety: one thread.
#pragma once

#include <memory>
#include <string>

#include "cli/support/options.hpp"

namespace gauntlet::cli {

class LogSource {
 public:
  virtual ~LogSource() = default;
  /// Errors: kInvalid (key too short, of several jobs), kNotFound; kUnreachable, kTimedOut: try again later.
  [[nodiscard]] virtual Result<proto::AttemptsReply> attempts(const std::string& key_prefix) = 0;
  /// Errors: as above; kNotFound also for an attempt or a log that is not there.
  [[nodiscard]] virtual Result<proto::LogReply> read(const proto::LogRequest& request) = 0;
};

/// Errors: those of connecting, but for a work folder whose coordinator does not run; kNotFound (no
/// database).
[[nodiscard]] Result<std::unique_ptr<LogSource>> open_logs(const ConnectOptions& connect,
                                                           const FolderOptions& folder);

}  // namespace gauntlet::cli
