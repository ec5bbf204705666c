// Starts, watches and ends executor processes.
// Thread safety: everything happens on the thread that runs the io_context.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/result.hpp"
#include "schemas/protocol.pb.h"
#include "worker/launch/frame_channel.hpp"

namespace gauntlet::worker {

/// A program to start. `--fd N`, the number of the socket it is to speak over, is added to the arguments.
struct Command {
  std::filesystem::path program;
  std::vector<std::string> arguments = {};
  std::vector<std::pair<std::string, std::string>> environment = {};  ///< set beside what this process has
  bool speaks = true;               ///< over that socket; a program that does not gets no `--fd`
  std::optional<int> output = {};   ///< descriptor for its stdout and stderr; else those of this process
  std::vector<int> inherited = {};  ///< descriptors it gets under the same numbers
  int death_signal = SIGKILL;       ///< what it gets when this process dies
  const char* mark = nullptr;       ///< environment variable of its mark; null = kMarkVariable (strays.hpp)
};

/// How a process ended.
struct Ending {
  std::optional<int> signal = {};  ///< it was killed by this one
  int exit_code = 0;               ///< otherwise
  bool dumped_core = false;
  std::string lost = {};   ///< set when neither is known: what is, "its connection closed"
  std::string where = {};  ///< set when it ran behind a launcher: "on node2"
};

/// "killed by signal 9 (SIGKILL)", "exit code 3"
[[nodiscard]] std::string describe(const Ending& ending);

/// The last lines of a file, at most `n_lines` and 8 KiB of them; "" when it cannot be read or is empty.
[[nodiscard]] std::string log_tail(const std::filesystem::path& path, std::size_t n_lines = 20);

/// An executor as the agent sees it, wherever it runs.
class ExecutorLink {
 public:
  struct Handlers {
    std::function<void(const proto::Frame&)> on_frame;
    /// Called once, when the process is gone and every frame it sent has been delivered.
    std::function<void(const Ending&)> on_end;
    /// How long what the executor says next may wait to be read, see FrameChannel::Handlers. May be empty.
    std::function<std::chrono::milliseconds()> patience = {};
  };
  virtual ~ExecutorLink() = default;
  [[nodiscard]] virtual pid_t pid() const = 0;
  virtual void send(const proto::Frame& frame) = 0;
  /// Hands on what the executor has said by now; the link may end meanwhile. Not from inside on_frame.
  virtual void read_now() {}
  /// Ends the process and what it has started: SIGTERM, later SIGKILL.
  virtual void end() = 0;
  /// Asks the executor, SIGUSR1, to end its attempt with a checkpoint; it lives on. Before its first frame
  /// nothing listens for that yet, and it would die of it.
  virtual void ask_for_checkpoint() = 0;
  /// Ends an executor that has nothing in hand and is not wanted any more.
  virtual void retire() = 0;
};

/// One child process with its own process group and a socket to it. It dies with this process (parent-death
/// signal), and whatever it leaves behind, in its group or outside of it, dies with it.
class ExecutorProcess final : public ExecutorLink, public std::enable_shared_from_this<ExecutorProcess> {
 public:
  /// SIGTERM is followed by SIGKILL after this long.
  static constexpr std::chrono::milliseconds kPatience{2000};

  /// Errors: kNotFound, kIo: "cannot start <program>: <reason>".
  [[nodiscard]] static Result<std::shared_ptr<ExecutorProcess>> start(boost::asio::io_context& context,
                                                                      const Command& command,
                                                                      Handlers handlers);
  /// Kills and reaps whatever is left, without calling the handlers.
  ~ExecutorProcess() override;
  ExecutorProcess(const ExecutorProcess&) = delete;
  ExecutorProcess& operator=(const ExecutorProcess&) = delete;

  [[nodiscard]] pid_t pid() const override { return pid_; }
  void send(const proto::Frame& frame) override;
  void read_now() override;
  /// Ends the process group: SIGTERM, then SIGKILL when the process is still there after kPatience.
  void end() override;
  void kill();
  void ask_for_checkpoint() override;
  void retire() override { end(); }

 private:
  struct Identity {
    pid_t pid = 0;
    std::string mark;  ///< see strays.hpp
    const char* mark_variable = nullptr;
    bool speaks = true;
  };
  ExecutorProcess(boost::asio::io_context& context, Identity identity, FrameChannel::Socket socket,
                  Handlers handlers);
  void watch();
  void reap();
  void await_last_frames();
  void channel_closed(const Error& error);
  void finish_if_over();
  void signal_group(int signal) const;

  pid_t pid_;
  std::string mark_;
  const char* mark_variable_;
  std::shared_ptr<FrameChannel> channel_;
  Handlers handlers_;
  boost::asio::signal_set child_signals_;
  boost::asio::steady_timer patience_;
  std::optional<Ending> ending_;
  bool channel_open_ = true;
  bool ending_asked_ = false;
  bool over_ = false;
};

}  // namespace gauntlet::worker
