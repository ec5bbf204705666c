#include "worker/launch/launched_rank.hpp"

namespace gauntlet::worker {
namespace {

constexpr std::chrono::milliseconds kSymptomPatience{500};

}  // namespace

LaunchedRank::~LaunchedRank() {
  if (channel_ != nullptr) channel_->close();
}

void LaunchedRank::adopt(std::shared_ptr<FrameChannel> channel, const proto::RankHello& hello,
                         bool by_loopback) {
  inside_ = by_loopback;
  channel_ = std::move(channel);
  hello_ = hello;
  channel_->set_handlers({[weak = weak_from_this()](const proto::Frame& frame) {
                            if (const auto self = weak.lock()) self->take(frame);
                          },
                          [weak = weak_from_this()](const Error& error) {
                            const auto self = weak.lock();
                            if (!self) return;
                            self->over({.lost = fmt::format("its connection was lost: {}", error.message)});
                          }});
  if (ending_) command(proto::RankCommand::END);
}

void LaunchedRank::flush(const std::function<void(proto::RunAttempt&)>& finish) {
  flushed_ = true;
  for (proto::Frame& frame : waiting_) {
    if (frame.has_run_attempt()) finish(*frame.mutable_run_attempt());
    channel_->send(frame);
  }
  waiting_.clear();
}

void LaunchedRank::send(const proto::Frame& frame) {
  if (over_) return;
  flushed_ ? channel_->send(frame) : waiting_.push_back(frame);
}

void LaunchedRank::command(proto::RankCommand::What what) {
  proto::Frame frame;
  frame.mutable_rank_command()->set_what(what);
  channel_->send(frame);
}

void LaunchedRank::ask_for_checkpoint() {
  if (channel_ != nullptr && !ending_) command(proto::RankCommand::CHECKPOINT);
}

void LaunchedRank::end() {
  if (over_ || ending_) return;
  ending_ = true;
  const auto end_gang = [weak = gang_] {
    if (const auto gang = weak.lock()) gang->end_launcher();
  };
  if (channel_ == nullptr) return end_gang();  // one that is not there yet cannot be told
  command(proto::RankCommand::END);
  patience_.expires_after(kPatience);
  patience_.async_wait([end_gang](const boost::system::error_code& error) {
    if (!error) end_gang();
  });
}

void LaunchedRank::retire() {
  if (over_ || ending_) return;
  proto::Frame frame;
  frame.mutable_executor_stop();
  send(frame);
  patience_.expires_after(kPatience);
  patience_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (self && !error) self->end();
  });
}

void LaunchedRank::take(const proto::Frame& frame) {
  if (frame.has_rank_output()) {
    const auto gang = gang_.lock();
    if (gang && gang->handlers_.on_output) gang->handlers_.on_output(frame.rank_output().data());
  } else if (frame.has_rank_ended()) {
    const proto::RankEnded& told = frame.rank_ended();
    Ending ending;
    if (told.signal() != 0) ending.signal = told.signal();
    ending.exit_code = told.exit_code();
    ending.dumped_core = told.dumped_core();
    // A launcher that died takes its ranks with it by SIGTERM; its own end, the cause, may be seen later.
    if (told.signal() == SIGTERM && !ending_) return over_later(std::move(ending));
    over(std::move(ending));
  } else if (handlers_.on_frame) {
    const auto on_frame = handlers_.on_frame;
    on_frame(frame);
  }
}

void LaunchedRank::over_later(const Ending& ending) {
  patience_.expires_after(kSymptomPatience);
  patience_.async_wait([weak = weak_from_this(), ending](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (self && !error) self->over(ending);
  });
}

void LaunchedRank::over(Ending ending) {
  if (over_) return;
  over_ = true;
  const auto self = shared_from_this();  // the handler may drop the last owner
  patience_.cancel();
  if (channel_ != nullptr) channel_->close();
  if (!hello_.host().empty()) ending.where = "on " + hello_.host();
  const Handlers handlers = std::exchange(handlers_, {});
  if (handlers.on_end) handlers.on_end(ending);
  if (const auto gang = gang_.lock()) gang->rank_ended();
}

}  // namespace gauntlet::worker
