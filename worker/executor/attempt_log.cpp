#include "worker/executor/attempt_log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <iostream>
#include <utility>

#include "core/base/files.hpp"

namespace gauntlet::worker {
namespace {

void flush_streams() {
  std::cout.flush();
  std::cerr.flush();
  std::clog.flush();
  std::fflush(nullptr);
}

Error log_error(int reason, const std::filesystem::path& path) {
  Error error = system_error(reason, "write the log", path);
  // To a job, a log that cannot be written is the disk's refusal, whatever the reason.
  if (error.code != ErrorCode::kNoSpace) error.code = ErrorCode::kIo;
  return error;
}

}  // namespace

Result<AttemptLog> AttemptLog::open(const std::filesystem::path& path) {
  std::error_code made;
  std::filesystem::create_directories(path.parent_path(), made);
  if (made) return fail(log_error(made.value(), path));
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file < 0) return fail(log_error(errno, path));
  flush_streams();
  const int saved_out = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  const int saved_err = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  AttemptLog log(saved_out, saved_err);
  const bool redirected = ::dup2(file, STDOUT_FILENO) >= 0 && ::dup2(file, STDERR_FILENO) >= 0;
  const int reason = errno;
  ::close(file);
  if (!redirected) return fail(log_error(reason, path));
  return log;
}

AttemptLog::AttemptLog(AttemptLog&& other) noexcept
    : saved_out_(std::exchange(other.saved_out_, -1)), saved_err_(std::exchange(other.saved_err_, -1)) {}

AttemptLog::~AttemptLog() {
  if (saved_out_ < 0 && saved_err_ < 0) return;
  flush_streams();
  for (const auto& [saved, stream] :
       {std::pair(saved_out_, STDOUT_FILENO), std::pair(saved_err_, STDERR_FILENO)}) {
    if (saved < 0) continue;
    ::dup2(saved, stream);
    ::close(saved);
  }
}

}  // namespace gauntlet::worker
