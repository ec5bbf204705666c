// One rank of a LaunchedGang as an ExecutorLink. Thread safety: as LaunchedGang.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "worker/launch/launched_gang.hpp"

namespace gauntlet::worker {

class LaunchedRank final : public ExecutorLink, public std::enable_shared_from_this<LaunchedRank> {
 public:
  LaunchedRank(boost::asio::io_context& context, std::weak_ptr<LaunchedGang> gang)
      : gang_(std::move(gang)), patience_(context) {}
  ~LaunchedRank() override;

  /// After SIGTERM the guard sends SIGKILL by itself; one that does not answer at all loses its gang.
  static constexpr std::chrono::milliseconds kPatience{3500};

  void set_handlers(Handlers handlers) { handlers_ = std::move(handlers); }
  /// Its guard has come.
  void adopt(std::shared_ptr<FrameChannel> channel, const proto::RankHello& hello, bool by_loopback);
  /// Sends what waited, with `finish` over every RunAttempt.
  void flush(const std::function<void(proto::RunAttempt&)>& finish);
  /// Calls on_end, once.
  void over(Ending ending);

  [[nodiscard]] bool is_here() const { return channel_ != nullptr; }
  /// It reached the agent by the loopback address of their machine.
  [[nodiscard]] bool is_inside() const { return inside_; }
  [[nodiscard]] bool is_over() const { return over_; }
  [[nodiscard]] const proto::RankHello& hello() const { return hello_; }
  [[nodiscard]] const std::shared_ptr<FrameChannel>& channel() const { return channel_; }

  [[nodiscard]] pid_t pid() const override { return static_cast<pid_t>(hello_.pid()); }
  void send(const proto::Frame& frame) override;
  void end() override;
  void ask_for_checkpoint() override;
  void retire() override;

 private:
  void take(const proto::Frame& frame);
  void over_later(const Ending& ending);
  void command(proto::RankCommand::What what);

  std::weak_ptr<LaunchedGang> gang_;
  Handlers handlers_;
  std::shared_ptr<FrameChannel> channel_;
  proto::RankHello hello_;
  std::vector<proto::Frame> waiting_;
  boost::asio::steady_timer patience_;
  bool inside_ = false;
  bool flushed_ = false;
  bool ending_ = false;
  bool over_ = false;
};

}  // namespace gauntlet::worker
