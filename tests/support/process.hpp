// Real processes for black-box tests: start, wait for a condition, kill, find descendants.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace gauntlet::testing_support {

/// A finished process. `exit_code` is 128 + signal number when a signal ended it.
struct Finished {
  int exit_code = -1;
  std::string out;
  std::string err;
};

/// One child process in a process group of its own, its output in files. Killed with its group when dropped.
class Process {
 public:
  Process(const std::vector<std::string>& command, const std::filesystem::path& directory,
          const std::map<std::string, std::string>& environment = {});
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool is_running();
  void send(int signal) const;
  /// Waits for its end; after `limit` the group is killed and the test sees exit code 137.
  Finished wait(std::chrono::seconds limit = std::chrono::seconds(120));
  [[nodiscard]] std::string out() const;
  [[nodiscard]] std::string err() const;

 private:
  pid_t pid_ = -1;
  int status_ = 0;
  bool reaped_ = false;
  std::filesystem::path out_path_;
  std::filesystem::path err_path_;
};

/// Runs a command to its end.
[[nodiscard]] Finished run(const std::vector<std::string>& command, const std::filesystem::path& directory,
                           const std::map<std::string, std::string>& environment = {},
                           std::chrono::seconds limit = std::chrono::seconds(120));

/// All living descendants of a process whose command line contains `text`.
[[nodiscard]] std::vector<pid_t> descendants(pid_t root, const std::string& text);
/// All living processes whose command line contains `text`.
[[nodiscard]] std::vector<pid_t> processes_with(const std::string& text);

/// Polls until the condition holds; false when it did not within the limit.
[[nodiscard]] bool wait_until(const std::function<bool()>& condition,
                              std::chrono::seconds limit = std::chrono::seconds(60));

}  // namespace gauntlet::testing_support
