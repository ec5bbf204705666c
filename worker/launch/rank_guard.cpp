#include "worker/launch/rank_guard.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdlib>
#include <iostream>

#include "worker/launch/launcher.hpp"
#include "worker/launch/meeting.hpp"

namespace gauntlet::worker {
namespace {

using boost::asio::ip::tcp;

/// How long a guard that has told everything waits for the agent to close the connection.
constexpr std::chrono::seconds kFarewell{3};
/// What an executor gets to end by itself when the launcher ends it.
constexpr std::chrono::milliseconds kLauncherPatience{400};

class Guard {
 public:
  explicit Guard(const GuardOptions& options)
      : options_(options),
        signals_(context_, SIGTERM, SIGINT),
        farewell_(context_),
        output_(context_),
        listener_(context_) {}

  [[nodiscard]] Result<int> run() {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    const Launcher* const launcher = find_launcher(options_.launcher);
    if (launcher == nullptr) return fail(ErrorCode::kInvalid, "'{}' is no launcher", options_.launcher);
    GAUNTLET_TRY(const auto seat, launcher->take_seat());
    const std::string who = fmt::format("rank {} of {}", seat->rank(), seat->world());
    GAUNTLET_TRY(tcp::socket socket, meet(context_, {options_.host, options_.port, options_.node, who,
                                                     std::chrono::seconds(options_.patience_s)}));
    boost::system::error_code error;
    const auto local = socket.local_endpoint(error);
    const auto remote = socket.remote_endpoint(error);
    if (error) return fail(ErrorCode::kUnreachable, "{}: the worker hung up: {}", who, error.message());
    own_address_ = plain(local.address());
    agent_address_ = plain(remote.address());
    std::string listens;
    if (seat->rank() == 0) {
      GAUNTLET_TRY(listener_, listen_anywhere(context_, "the other ranks"));
      listens = fmt::format("{}:{}", own_address_.to_string(), listener_.local_endpoint().port());
    }
    GAUNTLET_TRY(rendezvous_, seat->from_first(listens));
    channel_ = std::make_shared<FrameChannel>(FrameChannel::Socket(std::move(socket)));
    say_hello(*seat, listens);
    serve();
    return exit_code_;
  }

 private:
  void say_hello(const Seat& seat, const std::string& listens) {
    proto::Frame frame;
    proto::RankHello& hello = *frame.mutable_rank_hello();
    const char* const secret = std::getenv(kSecretVariable);
    hello.set_secret(secret == nullptr ? "" : secret);
    hello.set_rank(static_cast<std::uint32_t>(seat.rank()));
    hello.set_world(static_cast<std::uint32_t>(seat.world()));
    hello.set_host(own_host_name());
    hello.set_pid(::getpid());
    hello.set_rendezvous(listens);
    for (const proto::EntryVersion& entry : options_.entries) *hello.add_entries() = entry;
    ::unsetenv(kSecretVariable);  // no business of the executor
    channel_->set_handlers(
        {[this](const proto::Frame& received) { take(received); }, [this](const Error&) { agent_gone(); }});
    channel_->start();
    channel_->send(frame);
  }

  void serve() {
    signals_.async_wait([this](const boost::system::error_code& error, int) {
      if (error) return;
      end_executor();
      // Who sent this kills next, and then nobody would look for what the executor leaves behind.
      farewell_.expires_after(kLauncherPatience);
      farewell_.async_wait([this](const boost::system::error_code& cancelled) {
        if (!cancelled && executor_ != nullptr) executor_->kill();
      });
    });
    context_.restart();
    context_.run();
  }

  void take(const proto::Frame& frame) {
    if (frame.has_rank_command()) {
      if (frame.rank_command().what() == proto::RankCommand::CHECKPOINT && executor_ != nullptr)
        executor_->ask_for_checkpoint();
      if (frame.rank_command().what() == proto::RankCommand::END) {
        asked_to_end_ = true;
        end_executor();
      }
      return;
    }
    if (frame.has_executor_stop()) asked_to_end_ = true;
    if (!frame.has_run_attempt()) return pass_on(frame);
    proto::Frame own = frame;
    complete(*own.mutable_run_attempt());
    if (executor_ == nullptr && !start_executor(own.run_attempt())) return;
    pass_on(own);
  }

  void pass_on(const proto::Frame& frame) {
    if (executor_ != nullptr) executor_->send(frame);
  }

  /// What only this machine knows: where it meets the others, and where it prints.
  void complete(proto::RunAttempt& attempt) {
    if (attempt.interface().empty()) attempt.set_interface(own_address_.to_string());
    if (!rendezvous_.empty()) attempt.set_rendezvous(rendezvous_);
    // Rank 0 runs on the agent's machine, whose address is known here if its own name for it is of no use.
    const std::size_t colon = attempt.rendezvous().rfind(':');
    if (attempt.rank() == 0) {
      attempt.set_rendezvous_fd(listener_.native_handle());
    } else if (colon != std::string::npos) {
      attempt.set_rendezvous(agent_address_.to_string() + attempt.rendezvous().substr(colon));
      attempt.set_log("/dev/stdout");  // which passes through here: no file system need be shared
    }
    attempt.set_rendezvous("tcp://" + attempt.rendezvous());
  }

  [[nodiscard]] bool start_executor(const proto::RunAttempt& attempt) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return stop_with("cannot make a pipe");
    output_.assign(ends[0]);
    Command command = options_.executor;
    command.output = ends[1];
    if (attempt.rendezvous_fd() > 0) command.inherited.push_back(attempt.rendezvous_fd());
    command.environment.emplace_back("CUDA_VISIBLE_DEVICES",
                                     attempt.has_gpu() ? fmt::format("{}", attempt.gpu()) : std::string());
    Result<std::shared_ptr<ExecutorProcess>> started =
        ExecutorProcess::start(context_, command,
                               {[this](const proto::Frame& frame) { channel_->send(frame); },
                                [this](const Ending& ending) { executor_ended(ending); }});
    ::close(ends[1]);
    if (!started) return stop_with(started.error().message);
    executor_ = std::move(*started);
    read_output();
    return true;
  }

  bool stop_with(const std::string& reason) {
    std::cerr << "gauntlet: " << reason << std::endl;
    exit_code_ = 1;
    finish();
    return false;
  }

  void read_output() {
    output_.async_read_some(boost::asio::buffer(block_),
                            [this](const boost::system::error_code& error, std::size_t n_bytes) {
                              if (error) return;
                              send_output(n_bytes);
                              read_output();
                            });
  }

  void send_output(std::size_t n_bytes) {
    proto::Frame frame;
    frame.mutable_rank_output()->set_data(block_.data(), n_bytes);
    channel_->send(frame);
  }

  void end_executor() {
    if (executor_ != nullptr && !ended_) return executor_->end();
    exit_code_ = asked_to_end_ ? 0 : 1;
    finish();
  }

  void executor_ended(const Ending& ending) {
    ended_ = true;
    boost::system::error_code error;
    output_.non_blocking(true, error);
    while (!error) {  // the last words, which are in the pipe by now
      const std::size_t n_bytes = output_.read_some(boost::asio::buffer(block_), error);
      if (!error && n_bytes > 0) send_output(n_bytes);
    }
    proto::Frame frame;
    proto::RankEnded& told = *frame.mutable_rank_ended();
    told.set_signal(ending.signal.value_or(0));
    told.set_exit_code(ending.exit_code);
    told.set_dumped_core(ending.dumped_core);
    channel_->send(frame);
    exit_code_ = asked_to_end_ ? 0 : 1;
    if (agent_gone_) return finish();
    farewell_.expires_after(kFarewell);
    farewell_.async_wait([this](const boost::system::error_code& cancelled) {
      if (!cancelled) finish();
    });
  }

  void agent_gone() {
    agent_gone_ = true;
    if (executor_ == nullptr || ended_) {
      if (!ended_ && !asked_to_end_) exit_code_ = 1;
      return finish();
    }
    executor_->end();
  }

  void finish() { context_.stop(); }

  GuardOptions options_;
  boost::asio::io_context context_{1};
  boost::asio::signal_set signals_;
  boost::asio::steady_timer farewell_;
  boost::asio::posix::stream_descriptor output_;
  tcp::acceptor listener_;
  std::shared_ptr<FrameChannel> channel_;
  std::shared_ptr<ExecutorProcess> executor_;
  boost::asio::ip::address own_address_, agent_address_;
  std::string rendezvous_;  ///< of rank 0, as the launcher carried it; "" when the agent tells it
  std::array<char, 16384> block_{};
  bool asked_to_end_ = false;
  bool agent_gone_ = false;
  bool ended_ = false;
  int exit_code_ = 0;
};

}  // namespace

Result<int> run_rank_guard(const GuardOptions& options) {
  try {
    return Guard(options).run();
  } catch (const boost::system::system_error& thrown) {
    return fail(ErrorCode::kIo, "the guard of a rank cannot go on: {}", thrown.what());
  }
}

}  // namespace gauntlet::worker
