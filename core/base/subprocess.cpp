#include "core/base/subprocess.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "core/base/descriptor.hpp"

extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace gauntlet {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{16} << 20;
constexpr int kLookMs = 20;  ///< between two looks at the clock and at `stop`

struct Pipe {
  Descriptor read_end;
  Descriptor write_end;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return fail(ErrorCode::kIo, "cannot make a pipe: {}", std::strerror(errno));
  return Pipe{Descriptor(ends[0]), Descriptor(ends[1])};
}

/// Default signals, none blocked, a group of its own, stdin empty.
Result<pid_t> spawn(std::vector<std::string>& words, const Pipe& out, const Pipe& err) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  ::posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, out.write_end.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, err.write_end.get(), STDERR_FILENO);
  ::posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::sigset_t none;
  ::sigset_t all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  ::posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = -1;
  const int failed = ::posix_spawnp(&pid, arguments[0], &actions, &attributes, arguments.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed == 0) return pid;
  return fail(failed == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo, "cannot run {}: {}", words.front(),
              std::strerror(failed));
}

/// Takes what is there; closes the end when nothing will come any more.
void drain(Descriptor& end, std::string& text) {
  std::array<char, 1 << 14> buffer{};
  const ssize_t n = ::read(end.get(), buffer.data(), buffer.size());
  if (n < 0 && errno == EINTR) return;
  if (n <= 0) return end.reset();
  const auto n_read = static_cast<std::size_t>(n);
  text.append(buffer.data(), std::min(n_read, kMaxBytes - std::min(kMaxBytes, text.size())));
}

/// Reads until both ends are closed or there is a reason to give up.
Status read_all(Descriptor& out, Descriptor& err, SubprocessOutput& output, SteadyTime deadline,
                const std::atomic<bool>* stop, const std::string& name) {
  const SystemClock clock;
  while (out.get() >= 0 || err.get() >= 0) {
    if (stop != nullptr && *stop) return fail(ErrorCode::kInterrupted, "{} was stopped", name);
    if (clock.now() >= deadline) return fail(ErrorCode::kTimedOut, "{} did not end in time", name);
    std::array<::pollfd, 2> waited{{{out.get(), POLLIN, 0}, {err.get(), POLLIN, 0}}};
    if (::poll(waited.data(), waited.size(), kLookMs) < 0 && errno != EINTR)
      return fail(ErrorCode::kIo, "cannot wait for {}: {}", name, std::strerror(errno));
    if ((waited[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) drain(out, output.out);
    if ((waited[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0) drain(err, output.err);
  }
  return {};
}

/// Waits for the end, which is near: the program has closed what it prints to.
Status reap(pid_t pid, int& status, SteadyTime deadline, const std::atomic<bool>* stop,
            const std::string& name) {
  const SystemClock clock;
  while (::waitpid(pid, &status, WNOHANG) != pid) {
    if (stop != nullptr && *stop) return fail(ErrorCode::kInterrupted, "{} was stopped", name);
    if (clock.now() >= deadline) return fail(ErrorCode::kTimedOut, "{} did not end in time", name);
    ::poll(nullptr, 0, 1);
  }
  return {};
}

}  // namespace

Result<SubprocessOutput> run_subprocess(std::vector<std::string> words, Milliseconds limit,
                                        const std::atomic<bool>* stop) {
  const SteadyTime deadline = SystemClock().now() + limit;
  GAUNTLET_TRY(Pipe out, make_pipe());
  GAUNTLET_TRY(Pipe err, make_pipe());
  GAUNTLET_TRY(const pid_t pid, spawn(words, out, err));
  out.write_end.reset();
  err.write_end.reset();
  SubprocessOutput output;
  int status = 0;
  Status ended = read_all(out.read_end, err.read_end, output, deadline, stop, words.front());
  if (ended) ended = reap(pid, status, deadline, stop, words.front());
  if (!ended) {
    ::kill(-pid, SIGKILL);
    ::waitpid(pid, &status, 0);
    return fail(ended.error());
  }
  output.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return output;
}

}  // namespace gauntlet
