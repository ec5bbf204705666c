// A child of this command, in a process group of its own so that Ctrl-C on the terminal does not reach it.
// Thread safety: one thread.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/clock.hpp"
#include "core/base/result.hpp"

namespace gauntlet::cli {

class ChildProcess {
 public:
  struct Options {
    std::vector<std::string> command;
    std::filesystem::path log;      ///< its stdout and stderr are appended here
    bool dies_with_parent = false;  ///< SIGTERM when this process ends, however it ends
  };

  /// Errors: kIo (the log cannot be opened, no process can be started).
  [[nodiscard]] static Result<ChildProcess> start(const Options& options);
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess() = default;  ///< leaves a running process alone

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool is_running();
  /// Of a process that has ended; 128 + number when a signal ended it.
  [[nodiscard]] int exit_code() const { return exit_code_; }
  /// The most resident memory it had; of a process that has ended.
  [[nodiscard]] long peak_memory_kib() const { return peak_memory_kib_; }
  [[nodiscard]] bool was_killed() const { return exit_code_ > 128; }
  /// The last sentence it printed as `gauntlet: …`, without that; "" for none.
  [[nodiscard]] std::string last_words() const;

  /// To the process itself.
  void signal(int number);
  /// Waits for its end for so long, then kills its process group.
  void wait_or_kill(Milliseconds patience);
  void kill();

 private:
  ChildProcess() = default;

  pid_t pid_ = -1;  ///< -1 once reaped
  int exit_code_ = 0;
  long peak_memory_kib_ = 0;
  std::filesystem::path log_;
  std::uintmax_t log_start_ = 0;
};

}  // namespace gauntlet::cli
