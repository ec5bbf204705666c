#include "core/base/child.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <string_view>

#include "core/base/descriptor.hpp"

namespace gauntlet {
namespace {

/// Arguments and environment as execve wants them.
struct ExecImage {
  explicit ExecImage(const ChildStart& start) : arguments(start.arguments) {
    for (std::string& text : arguments) argv.push_back(text.data());
    argv.push_back(nullptr);
    if (!start.environment) return;
    for (const auto& [name, value] : *start.environment) variables.push_back(name + "=" + value);
    for (std::string& text : variables) envp.push_back(text.data());
    envp.push_back(nullptr);
  }
  [[nodiscard]] char* const* environment() const { return envp.empty() ? environ : envp.data(); }
  std::vector<std::string> arguments, variables;
  std::vector<char*> argv, envp;
};

/// As execve will: until then they could run in the child, on its parent's memory.
void forget_handlers() {
  for (int each = 1; each < NSIG; ++each) {
    struct sigaction action {};
    if (::sigaction(each, nullptr, &action) != 0) continue;
    if (action.sa_handler != SIG_IGN && action.sa_handler != SIG_DFL) ::signal(each, SIG_DFL);
  }
}

/// Runs in the child: only async-signal-safe calls, then the program, or errno into `reason`, which is the
/// parent's.
[[noreturn]] void become(const ChildStart& start, const ExecImage& image, int null, volatile int& reason,
                         pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, start.death_signal);
  if (::getppid() != parent) ::_exit(0);  // the parent died before the line above
  for (const int each : start.default_signals) ::signal(each, SIG_DFL);
  forget_handlers();
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::dup2(null, STDIN_FILENO);
  if (start.output) {
    ::dup2(*start.output, STDOUT_FILENO);
    ::dup2(*start.output, STDERR_FILENO);
  }
  ::close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC);
  for (const int fd : start.inherited) ::fcntl(fd, F_SETFD, 0);
  for (const auto& [resource, amount] : start.limits) {
    const rlimit value{amount, amount};
    ::setrlimit(resource, &value);
  }
  if (start.folder.empty() || ::chdir(start.folder.c_str()) == 0)
    ::execve(start.program.c_str(), image.argv.data(), image.environment());
  reason = errno;
  ::_exit(127);
}

/// The child shares this process's memory, and this thread waits, until it has become the program: copying
/// page tables would be half of what a short job costs an executor. Signals wait too. Negative: errno says
/// why; a `reason` that is set says why the child did not become the program.
[[gnu::noinline]] pid_t start_sharing_memory(const ChildStart& start, const ExecImage& image, int null,
                                             volatile int& reason) {
  const pid_t parent = ::getpid();
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::vfork();  // NOLINT(clang-analyzer-security.insecureAPI.vfork): as above
  if (pid == 0) become(start, image, null, reason, parent);
  const int refused = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = refused;
  return pid;
}

}  // namespace

Variables environment_with(const Variables& ours) {
  Variables all;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    const std::string_view name = text.substr(0, text.find('='));
    const bool is_replaced = std::ranges::any_of(ours, [&](const auto& each) { return each.first == name; });
    if (!is_replaced) all.emplace_back(name, text.substr(std::min(name.size() + 1, text.size())));
  }
  all.insert(all.end(), ours.begin(), ours.end());
  return all;
}

tl::expected<pid_t, int> start_child(const ChildStart& start) {
  const Descriptor null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (null.get() < 0) return tl::unexpected(errno);
  const ExecImage image(start);
  volatile int reason = 0;
  const pid_t pid = start_sharing_memory(start, image, null.get(), reason);
  if (pid < 0) return tl::unexpected(errno);
  if (reason == 0) return pid;
  ::waitpid(pid, nullptr, 0);
  return tl::unexpected(int{reason});
}

}  // namespace gauntlet
