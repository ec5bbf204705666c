// Starts, watches and ends executor processes.
// Thread safety: everything happens on the thread that runs the io_context.
#pragma once

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
  std::vector<std::string> arguments;
  std::vector<std::pair<std::string, std::string>> environment;  ///< set beside what this process has
};

/// How a process ended.
struct Ending {
  std::optional<int> signal;  ///< it was killed by this one
  int exit_code = 0;          ///< otherwise
  bool dumped_core = false;
};

/// "killed by signal 9 (SIGKILL)", "exit code 3"
[[nodiscard]] std::string describe(const Ending& ending);

/// The last lines of a file, at most `n_lines` and 8 KiB of them; "" when it cannot be read or is empty.
[[nodiscard]] std::string log_tail(const std::filesystem::path& path, std::size_t n_lines = 20);

/// One child process with its own process group and a socket to it. It dies with this process (parent-death
/// signal), and whatever it leaves behind, in its group or outside of it, dies with it.
class ExecutorProcess : public std::enable_shared_from_this<ExecutorProcess> {
 public:
  struct Handlers {
    std::function<void(const proto::Frame&)> on_frame;
    /// Called once, when the process is reaped and every frame it sent has been delivered.
    std::function<void(const Ending&)> on_end;
  };

  /// SIGTERM is followed by SIGKILL after this long.
  static constexpr std::chrono::milliseconds kPatience{2000};

  /// Errors: kNotFound, kIo: "cannot start <program>: <reason>".
  [[nodiscard]] static Result<std::shared_ptr<ExecutorProcess>> start(boost::asio::io_context& context,
                                                                      const Command& command,
                                                                      Handlers handlers);
  /// Kills and reaps whatever is left, without calling the handlers.
  ~ExecutorProcess();
  ExecutorProcess(const ExecutorProcess&) = delete;
  ExecutorProcess& operator=(const ExecutorProcess&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  void send(const proto::Frame& frame);
  /// Ends the process group: SIGTERM, then SIGKILL when the process is still there after kPatience.
  void end();
  void kill();
  /// Asks the executor, SIGUSR1, to end its attempt with a checkpoint; it lives on. Before its first frame
  /// nothing listens for that yet, and it would die of it.
  void ask_for_checkpoint();

 private:
  struct Identity {
    pid_t pid = 0;
    std::string mark;  ///< see strays.hpp
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
