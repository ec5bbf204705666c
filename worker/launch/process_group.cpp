#include "worker/launch/process_group.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/local/stream_protocol.hpp>
#include <cerrno>
#include <climits>
#include <cstring>

#include "core/base/check.hpp"
#include "core/base/files.hpp"
#include "worker/launch/strays.hpp"

namespace gauntlet::worker {
namespace {

/// Closes on every path out; `release` hands the descriptor on.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor() { reset(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_;
};

/// Arguments and environment as execve wants them; the strings live in here.
class ExecImage {
 public:
  ExecImage(const Command& command, int socket) {
    arguments_.push_back(command.program.string());
    arguments_.insert(arguments_.end(), command.arguments.begin(), command.arguments.end());
    if (command.speaks) arguments_.insert(arguments_.end(), {"--fd", fmt::format("{}", socket)});
    for (char** variable = environ; *variable != nullptr; ++variable) {
      const std::string_view text(*variable);
      const bool replaced =
          std::any_of(command.environment.begin(), command.environment.end(),
                      [&](const auto& ours) { return text.substr(0, text.find('=')) == ours.first; });
      if (!replaced) environment_.emplace_back(text);
    }
    for (const auto& [name, value] : command.environment)
      environment_.push_back(fmt::format("{}={}", name, value));
    for (std::string& text : arguments_) argv_.push_back(text.data());
    for (std::string& text : environment_) envp_.push_back(text.data());
    argv_.push_back(nullptr);
    envp_.push_back(nullptr);
  }
  [[nodiscard]] char* const* argv() const { return argv_.data(); }
  [[nodiscard]] char* const* envp() const { return envp_.data(); }

 private:
  std::vector<std::string> arguments_, environment_;
  std::vector<char*> argv_, envp_;
};

/// Runs in the forked child: only async-signal-safe calls, then the program, or errno into `report`.
[[noreturn]] void become(const Command& command, const ExecImage& image, int socket, int null, int report,
                         pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, command.death_signal);
  if (::getppid() != parent) ::_exit(0);  // the parent died before the line above
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::dup2(null, STDIN_FILENO);
  if (command.output) {
    ::dup2(*command.output, STDOUT_FILENO);
    ::dup2(*command.output, STDERR_FILENO);
  }
  ::close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC);
  if (command.speaks) ::fcntl(socket, F_SETFD, 0);
  for (const int fd : command.inherited) ::fcntl(fd, F_SETFD, 0);
  ::execve(image.argv()[0], image.argv(), image.envp());
  const int reason = errno;
  if (::write(report, &reason, sizeof reason) < 0) ::_exit(126);
  ::_exit(127);
}

struct Started {
  pid_t pid = 0;
  int socket = -1;  ///< ours; the caller owns it
};

Result<Started> fork_and_exec(const Command& command) {
  const auto refuse = [&](int reason) {
    Error error = system_error(reason, "start", command.program);
    return fail(std::move(error));
  };
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return refuse(errno);
  Descriptor ours(pair[0]), theirs(pair[1]);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return refuse(errno);
  Descriptor hear(ends[0]), tell(ends[1]);
  const Descriptor null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (null.get() < 0) return refuse(errno);

  const ExecImage image(command, theirs.get());
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return refuse(errno);
  if (pid == 0) become(command, image, theirs.get(), null.get(), tell.get(), parent);
  ::setpgid(pid, pid);  // in both, so that neither can be overtaken
  tell.reset();
  int reason = 0;
  ssize_t got = 0;
  do {
    got = ::read(hear.get(), &reason, sizeof reason);
  } while (got < 0 && errno == EINTR);
  if (got == sizeof reason) {
    ::waitpid(pid, nullptr, 0);
    return refuse(reason);
  }
  return Started{pid, ours.release()};
}

Ending ending_of(int status) {
  if (WIFSIGNALED(status)) return {WTERMSIG(status), 0, WCOREDUMP(status) != 0, {}, {}};
  return {std::nullopt, WEXITSTATUS(status), false, {}, {}};
}

}  // namespace

std::string describe(const Ending& ending) {
  const std::string where = ending.where.empty() ? "" : " " + ending.where;
  if (!ending.lost.empty()) return ending.lost + where;
  if (!ending.signal) return fmt::format("exit code {}{}", ending.exit_code, where);
  const char* name = ::sigabbrev_np(*ending.signal);
  return fmt::format("killed by signal {} (SIG{}){}{}", *ending.signal, name == nullptr ? "?" : name,
                     ending.dumped_core ? ", core dumped" : "", where);
}

std::string log_tail(const std::filesystem::path& path, std::size_t n_lines) {
  constexpr off_t kMaxBytes = 8 << 10;
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return "";
  const off_t size = ::lseek(file.get(), 0, SEEK_END);
  const off_t from = std::max<off_t>(0, size - kMaxBytes);
  std::string text(static_cast<std::size_t>(std::max<off_t>(0, size - from)), '\0');
  const ssize_t got = ::pread(file.get(), text.data(), text.size(), from);
  text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::size_t start = text.size();
  for (std::size_t line = 0; line < n_lines && start != std::string::npos && start > 0; ++line) {
    start = text.rfind('\n', start - 1);
  }
  return start == std::string::npos || start == 0 ? text : text.substr(start + 1);
}

Result<std::shared_ptr<ExecutorProcess>> ExecutorProcess::start(boost::asio::io_context& context,
                                                                const Command& command, Handlers handlers) {
  const std::string mark = new_mark();
  Command marked = command;
  const char* const mark_variable = command.mark == nullptr ? kMarkVariable : command.mark;
  marked.environment.emplace_back(mark_variable, mark);
  GAUNTLET_TRY(const Started started, fork_and_exec(marked));
  boost::system::error_code error;
  FrameChannel::Socket socket(context);
  socket.assign(boost::asio::local::stream_protocol(), started.socket, error);
  GAUNTLET_CHECK(!error);
  std::shared_ptr<ExecutorProcess> process(new ExecutorProcess(
      context, {started.pid, mark, mark_variable, command.speaks}, std::move(socket), std::move(handlers)));
  process->watch();
  return process;
}

ExecutorProcess::ExecutorProcess(boost::asio::io_context& context, Identity identity,
                                 FrameChannel::Socket socket, Handlers handlers)
    : pid_(identity.pid),
      mark_(std::move(identity.mark)),
      mark_variable_(identity.mark_variable),
      handlers_(std::move(handlers)),
      child_signals_(context, SIGCHLD),
      patience_(context),
      channel_open_(identity.speaks) {
  channel_ = std::make_shared<FrameChannel>(std::move(socket));
}

ExecutorProcess::~ExecutorProcess() {
  channel_->close();
  if (ending_) return;
  signal_group(SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  kill_marked(mark_, mark_variable_);
}

void ExecutorProcess::watch() {
  // Weak: the owner of this object decides how long the process lives.
  const std::weak_ptr<ExecutorProcess> weak = weak_from_this();
  channel_->set_handlers({[weak](const proto::Frame& frame) {
                            const auto self = weak.lock();
                            if (self && self->handlers_.on_frame) self->handlers_.on_frame(frame);
                          },
                          [weak](const Error& error) {
                            if (const auto self = weak.lock()) self->channel_closed(error);
                          }});
  if (channel_open_) channel_->start();
  reap();  // it may have ended before the signal was listened for
}

void ExecutorProcess::reap() {
  if (ending_) return;
  siginfo_t seen{};
  if (::waitid(P_PID, static_cast<id_t>(pid_), &seen, WEXITED | WNOHANG | WNOWAIT) == 0 &&
      seen.si_pid == pid_) {
    signal_group(SIGKILL);  // before the reaping, while the group's number cannot belong to anybody else
    int status = 0;
    ::waitpid(pid_, &status, 0);
    kill_marked(mark_, mark_variable_);
    ending_ = ending_of(status);
    boost::system::error_code ignored;
    child_signals_.cancel(ignored);
    finish_if_over();
    if (!over_) await_last_frames();
    return;
  }
  child_signals_.async_wait([weak = weak_from_this()](const boost::system::error_code& error, int) {
    const auto self = weak.lock();
    if (self && !error) self->reap();
  });
}

void ExecutorProcess::await_last_frames() {
  patience_.expires_after(kPatience);
  patience_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (!self || error) return;
    self->channel_->close();  // a descendant that left the group holds the socket open
    self->channel_open_ = false;
    self->finish_if_over();
  });
}

void ExecutorProcess::channel_closed(const Error& error) {
  channel_open_ = false;
  // Without its socket the process is of no use; one that broke the framing cannot be understood any more.
  if (!ending_) {
    error.code == ErrorCode::kUnreachable ? end() : kill();
  }
  finish_if_over();
}

void ExecutorProcess::finish_if_over() {
  if (!ending_ || channel_open_ || over_) return;
  over_ = true;
  patience_.cancel();
  const auto on_end = std::move(handlers_.on_end);
  handlers_ = {};
  if (on_end) on_end(*ending_);
}

void ExecutorProcess::send(const proto::Frame& frame) { channel_->send(frame); }

void ExecutorProcess::end() {
  if (ending_ || ending_asked_) return;
  ending_asked_ = true;
  signal_group(SIGTERM);
  patience_.expires_after(kPatience);
  patience_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (self && !error) self->kill();
  });
}

void ExecutorProcess::kill() {
  if (!ending_) signal_group(SIGKILL);
}

void ExecutorProcess::ask_for_checkpoint() {
  if (!ending_ && !ending_asked_) ::kill(pid_, SIGUSR1);
}

void ExecutorProcess::signal_group(int signal) const { ::kill(-pid_, signal); }

}  // namespace gauntlet::worker
