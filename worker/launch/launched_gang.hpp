// A gang behind a launcher: one process of ours (mpirun, srun) that starts a guard for every rank, here and
// on other machines, and one connection from each guard. To the rest of the agent each rank is an
// ExecutorLink like a forked one.
//
// What is sent to the ranks waits until all of them have said hello; then they are told where rank 0 listens.
// Nobody is left: a rank whose connection closes counts as gone, when the launcher ends all ranks do, and
// when no rank is left the launcher is ended. Thread safety: everything happens on the thread that runs the
// io_context.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "worker/launch/launcher.hpp"

namespace gauntlet::worker {

class LaunchedRank;

struct GangOptions {
  const Launcher* launcher = nullptr;
  LauncherSettings settings;
  GangLayout layout;
  Command guard;                             ///< how to start one on any machine, but for where to connect
  std::string address;                       ///< how other machines reach this one
  std::vector<proto::EntryVersion> entries;  ///< what this agent knows; every guard must know the same
  std::chrono::seconds join_patience{60};    ///< until all guards have said hello
};

class LaunchedGang : public std::enable_shared_from_this<LaunchedGang> {
 public:
  struct Handlers {
    /// What launcher and ranks print, as it comes.
    std::function<void(std::string_view)> on_output;
    /// Called once: the launcher has ended, and every rank's on_end was called before.
    std::function<void()> on_over;
    /// The gang could not come together; the ranks end after this. kInvalid: ranks of different catalogs;
    /// kUnreachable: a rank that did not say hello in time.
    std::function<void(const Error&)> on_refused;
  };

  /// Errors: kNotFound, kIo: the launcher cannot be started, or no port can be had.
  [[nodiscard]] static Result<std::shared_ptr<LaunchedGang>> start(boost::asio::io_context& context,
                                                                   GangOptions options, Handlers handlers);
  ~LaunchedGang();
  LaunchedGang(const LaunchedGang&) = delete;
  LaunchedGang& operator=(const LaunchedGang&) = delete;

  [[nodiscard]] std::shared_ptr<ExecutorLink> rank(std::size_t index, ExecutorLink::Handlers handlers);

 private:
  friend class LaunchedRank;
  struct Guest;
  LaunchedGang(boost::asio::io_context& context, GangOptions options, Handlers handlers);

  [[nodiscard]] Status launch();
  void accept();
  void read_output();
  void watch_joining();
  void take_first(const std::shared_ptr<Guest>& guest, const proto::Frame& frame);
  [[nodiscard]] Status check(const proto::RankHello& hello) const;
  void refuse(const Error& error);
  void welcome_all();
  void end_launcher();
  void launcher_ended(const Ending& ending);
  void rank_ended();
  [[nodiscard]] std::string said() const;
  /// ": " and the sentence with which a guard gave up; "" when none did. A launcher says so much about it
  /// that the sentence may not be among the log's last lines.
  [[nodiscard]] std::string complaint() const;
  [[nodiscard]] bool all_ended() const;

  boost::asio::io_context& context_;
  GangOptions options_;
  Handlers handlers_;
  std::string secret_;
  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::posix::stream_descriptor output_;
  boost::asio::steady_timer joining_;
  std::array<char, 16384> block_{};
  std::string tail_;  ///< of what the launcher printed
  std::shared_ptr<ExecutorProcess> process_;
  std::vector<std::shared_ptr<LaunchedRank>> ranks_;
  std::vector<std::shared_ptr<Guest>> guests_;  ///< connected, and not known yet
  std::string outside_;                         ///< this machine's address as others have reached it
  bool complete_ = false;                       ///< all have said hello
  bool over_ = false;
};

}  // namespace gauntlet::worker
