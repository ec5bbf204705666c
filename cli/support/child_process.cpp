#include "cli/support/child_process.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>

#include "cli/support/interrupt.hpp"
#include "core/base/files.hpp"

namespace gauntlet::cli {
namespace {

/// What a signal of this process must not pass on to its children.
void reset_signals() {
  for (const int number : {SIGPIPE, SIGINT, SIGTERM}) std::signal(number, SIG_DFL);
}

[[noreturn]] void become(const std::vector<char*>& arguments, int log, pid_t parent, bool dies_with_parent) {
  setpgid(0, 0);
  reset_signals();
  if (dies_with_parent) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(1);  // the parent ended before the line above
  }
  const int null = open("/dev/null", O_RDONLY);
  dup2(null, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  execv(arguments[0], arguments.data());
  _exit(127);
}

}  // namespace

Result<ChildProcess> ChildProcess::start(const Options& options) {
  GAUNTLET_CHECK_OK(make_directories(options.log.parent_path()));
  const int log = open(options.log.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (log < 0) return fail(system_error(errno, "open the log", options.log));
  ChildProcess child;
  child.log_ = options.log;
  const off_t end = lseek(log, 0, SEEK_END);
  child.log_start_ = end > 0 ? static_cast<std::uintmax_t>(end) : 0;
  std::vector<std::string> command = options.command;
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (std::string& word : command) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const pid_t parent = getpid();
  child.pid_ = fork();
  if (child.pid_ == 0) become(arguments, log, parent, options.dies_with_parent);
  const int reason = errno;
  close(log);
  if (child.pid_ < 0) return fail(system_error(reason, "start", options.command.front()));
  setpgid(child.pid_, child.pid_);
  return child;
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept { *this = std::move(other); }

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  pid_ = std::exchange(other.pid_, -1);
  exit_code_ = other.exit_code_;
  peak_memory_kib_ = other.peak_memory_kib_;
  log_ = std::move(other.log_);
  log_start_ = other.log_start_;
  return *this;
}

bool ChildProcess::is_running() {
  if (pid_ < 0) return false;
  int status = 0;
  rusage used{};
  const pid_t ended = wait4(pid_, &status, WNOHANG, &used);
  if (ended == 0 || (ended < 0 && errno == EINTR)) return true;
  exit_code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  peak_memory_kib_ = used.ru_maxrss;
  pid_ = -1;
  return false;
}

std::string ChildProcess::last_words() const {
  constexpr std::string_view kMark = "gauntlet: ";
  std::ifstream file(log_);
  file.seekg(static_cast<std::streamoff>(log_start_));
  std::string words;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(kMark)) words = line.substr(kMark.size());
  }
  return words;
}

void ChildProcess::signal(int number) {
  if (pid_ > 0) ::kill(pid_, number);
}

void ChildProcess::wait_or_kill(Milliseconds patience) {
  const SteadyTime deadline = SystemClock().now() + patience;
  while (is_running() && SystemClock().now() < deadline) pause_for(Milliseconds(2));
  kill();
}

void ChildProcess::kill() {
  if (!is_running()) return;
  ::kill(-pid_, SIGKILL);
  while (is_running()) pause_for(Milliseconds(1));
}

}  // namespace gauntlet::cli
