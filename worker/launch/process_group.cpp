#include "worker/launch/process_group.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/local/stream_protocol.hpp>
#include <cerrno>
#include <cstring>

#include "core/base/check.hpp"
#include "core/base/child.hpp"
#include "core/base/descriptor.hpp"
#include "core/base/files.hpp"
#include "worker/launch/strays.hpp"

namespace gauntlet::worker {
namespace {

struct Started {
  pid_t pid = 0;
  int socket = -1;  ///< ours; the caller owns it
};

Result<Started> fork_and_exec(const Command& command) {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    return fail(system_error(errno, "start", command.program));
  Descriptor ours(pair[0]);
  const Descriptor theirs(pair[1]);
  ChildStart start{.program = command.program.string(),
                   .arguments = {command.program.string()},
                   .environment = environment_with(command.environment),
                   .output = command.output,
                   .inherited = command.inherited,
                   .death_signal = command.death_signal};
  start.arguments.insert(start.arguments.end(), command.arguments.begin(), command.arguments.end());
  if (command.speaks) {
    start.arguments.insert(start.arguments.end(), {"--fd", fmt::format("{}", theirs.get())});
    start.inherited.push_back(theirs.get());
  }
  const auto pid = start_child(start);
  if (!pid) return fail(system_error(pid.error(), "start", command.program));
  return Started{*pid, ours.release()};
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
                          },
                          handlers_.patience});
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

void ExecutorProcess::read_now() {
  const auto self = shared_from_this();
  if (channel_open_) channel_->read_now();
}

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
