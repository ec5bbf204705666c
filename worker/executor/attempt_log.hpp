// The log of an attempt: stdout and stderr of the whole process, while the attempt runs.
// Thread safety: one at a time per process, from the thread that runs the attempts.
#pragma once

#include <filesystem>

#include "core/base/result.hpp"

namespace gauntlet::worker {

class AttemptLog {
 public:
  /// Creates the folders, appends to the file (the ranks of a gang share one). Errors: kIo, kNoSpace, with
  /// the path.
  [[nodiscard]] static Result<AttemptLog> open(const std::filesystem::path& path);
  AttemptLog(AttemptLog&& other) noexcept;
  AttemptLog& operator=(AttemptLog&&) = delete;
  AttemptLog(const AttemptLog&) = delete;
  AttemptLog& operator=(const AttemptLog&) = delete;
  /// Gives stdout and stderr back.
  ~AttemptLog();

 private:
  AttemptLog(int saved_out, int saved_err) : saved_out_(saved_out), saved_err_(saved_err) {}
  int saved_out_;
  int saved_err_;
};

}  // namespace gauntlet::worker
