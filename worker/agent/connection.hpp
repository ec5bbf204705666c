// The agent's connection to its coordinator: finds it, says hello, joins, and does so again whenever the
// connection is lost. Thread safety: everything happens on the thread that runs the io_context.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <random>
#include <string>

#include "core/base/result.hpp"
#include "core/tls/trust.hpp"
#include "schemas/protocol.pb.h"
#include "worker/launch/frame_channel.hpp"

namespace gauntlet::worker {

/// Where the coordinator is and what opens its door.
struct Address {
  std::string host;
  std::uint16_t port = 0;
  std::string token;
  tls::Trust trust = {};  ///< set: TLS, and nothing is said to a coordinator it does not hold for
};

/// host, port, token and trust as given; what is empty comes from the work folder's coordinator.json and
/// token files (the fingerprint only together with the host). Errors: kUnreachable (no coordinator has
/// written its address, no token), kCorrupt, kInvalid (the fingerprint), kRefused (others may read the
/// token).
[[nodiscard]] Result<Address> find_coordinator(const std::filesystem::path& workdir, const Address& given);

class Connection {
 public:
  struct Handlers {
    std::function<proto::WorkerJoin()> join;  ///< asked at every connection
    std::function<void(const proto::WorkerWelcome&)> on_joined;
    std::function<void(const proto::Frame&)> on_frame;  ///< everything after the welcome
    std::function<void(const Error&)> on_lost;          ///< a joined connection ended; another is being tried
    std::function<void(const Error&)> on_refused;       ///< trying again cannot help
  };

  Connection(boost::asio::io_context& context, std::filesystem::path workdir, Address given,
             Handlers handlers);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void start();
  void stop();
  [[nodiscard]] bool is_joined() const { return state_ == State::kJoined; }
  /// Dropped unless joined: what matters is sent again after the next welcome.
  void send(const proto::Frame& frame);
  /// Time since the coordinator was last heard; zero unless joined.
  [[nodiscard]] std::chrono::milliseconds silence() const;
  /// Gives this connection up and tries another.
  void reconnect(const Error& reason);
  /// Why the latest attempt to connect failed; for messages.
  [[nodiscard]] const Error& last_error() const { return last_error_; }

 private:
  enum class State : std::uint8_t { kIdle, kConnecting, kGreeting, kJoining, kJoined, kStopped };

  void connect();
  void shake_hands(FrameChannel::Socket socket, const Address& address);
  void greet(std::shared_ptr<FrameChannel> channel, const std::string& token);
  void take(const proto::Frame& frame);
  void refuse(const Error& error);
  void retry_later();
  void give_up_connecting();

  boost::asio::io_context& context_;
  std::filesystem::path workdir_;
  Address given_;
  Handlers handlers_;
  boost::asio::ip::tcp::resolver resolver_;
  boost::asio::steady_timer timer_;  ///< deadline of a connection attempt, or the pause before the next
  std::shared_ptr<boost::asio::ip::tcp::socket> connecting_;
  std::shared_ptr<FrameChannel::TlsStream> shaking_hands_;
  std::shared_ptr<FrameChannel> channel_;
  State state_ = State::kIdle;
  std::uint64_t round_ = 0;  ///< connection attempts so far; a callback of an older one is ignored
  std::chrono::milliseconds pause_;
  std::chrono::steady_clock::time_point heard_;
  Error last_error_{ErrorCode::kUnreachable, "no coordinator was tried yet"};
  std::minstd_rand jitter_;
};

}  // namespace gauntlet::worker
