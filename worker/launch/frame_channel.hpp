// Frames over a connected stream socket, without blocking: TCP to the coordinator, a socket pair to an
// executor. Thread safety: everything happens on the thread that runs the io_context.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "core/base/descriptor.hpp"
#include "core/base/result.hpp"
#include "core/proto/frame.hpp"

namespace gauntlet::worker {

class FrameChannel : public std::enable_shared_from_this<FrameChannel> {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;

  struct Handlers {
    std::function<void(const proto::Frame&)> on_frame;
    /// Called once: the peer closed (kUnreachable), broke the framing (kCorrupt), the system said no (kIo),
    /// or more than kMaxQueuedBytes wait to be sent (kIo). Not called after close().
    std::function<void(const Error&)> on_closed;
    /// How long what comes next may wait for more, so that both are read together; asked after each read. So
    /// long nothing that arrives wakes this process. May be empty: not at all. Not asked over TLS.
    std::function<std::chrono::milliseconds()> patience = {};
  };

  /// Bytes waiting for a peer that does not read.
  static constexpr std::size_t kMaxQueuedBytes = std::size_t{256} << 20;

  using TlsStream = boost::asio::ssl::stream<Socket>;

  explicit FrameChannel(Socket socket);
  /// After its handshake.
  explicit FrameChannel(TlsStream stream);
  /// Before start.
  void set_handlers(Handlers handlers) { handlers_ = std::move(handlers); }
  /// Begins to read; frames arrive from inside io_context::run and read_now() only.
  void start();
  /// After start(): hands on the frames that have arrived by now, and the end if that has. Does nothing over
  /// TLS, and from inside on_frame.
  void read_now();
  /// Queues a frame. What is sent in one turn of the loop leaves in one write.
  void send(const proto::Frame& frame);
  /// Closes without further calls of the handlers.
  void close();

 private:
  void await_bytes();
  void read_on();
  void be_deaf_for(std::chrono::milliseconds time);
  void listen();
  void write_directly();
  void read_secret();
  void take(std::size_t n_bytes);
  void fail_reading(const boost::system::error_code& error);
  void write_some();
  void fail_with(const Error& error);

  [[nodiscard]] Socket& socket();

  std::variant<Socket, TlsStream> stream_;
  Handlers handlers_;
  proto::FrameReader reader_;
  std::string block_;      ///< where one read lands
  std::string outgoing_;   ///< encoded, not yet given to the socket
  std::string in_flight_;  ///< being written
  boost::asio::steady_timer pause_;
  Descriptor deaf_;  ///< the socket, while the loop does not listen to it
  std::optional<Socket::protocol_type> protocol_;
  bool reading_ = false;
  bool writing_ = false;       ///< or about to
  bool is_in_flight_ = false;  ///< `in_flight_` is
  bool closed_ = false;
};

}  // namespace gauntlet::worker
