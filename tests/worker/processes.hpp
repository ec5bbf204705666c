// Processes and conditions, as tests of the worker need them.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace gauntlet::worker {

/// No test waits longer for anything; reached only when something is broken.
inline constexpr std::chrono::seconds kTestPatience{60};

/// Waits until the condition holds; false when patience ends.
[[nodiscard]] bool eventually(const std::function<bool()>& condition,
                              std::chrono::seconds patience = kTestPatience);

/// Waits until the process is gone; a zombie counts as gone.
[[nodiscard]] bool is_gone(pid_t pid, std::chrono::seconds patience = kTestPatience);

/// Waits for a file with a process id and reads it; 0 when it does not come.
[[nodiscard]] pid_t read_pid(const std::filesystem::path& file);

/// A child process, killed when it goes out of scope.
class Child {
 public:
  Child() = default;
  explicit Child(const std::vector<std::string>& command);
  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;
  ~Child();
  [[nodiscard]] pid_t pid() const { return pid_; }
  void signal(int signal) const;
  /// Its exit code, or 128 + the signal that killed it; -1 when patience ends.
  [[nodiscard]] int wait();

 private:
  pid_t pid_ = 0;
};

}  // namespace gauntlet::worker
