#include "worker/launch/frame_channel.hpp"

#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <utility>

namespace gauntlet::worker {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{256} << 10;

}  // namespace

FrameChannel::FrameChannel(Socket socket)
    : stream_(std::in_place_type<Socket>, std::move(socket)),
      block_(kBlockBytes, '\0'),
      pause_(this->socket().get_executor()) {}

FrameChannel::FrameChannel(TlsStream stream)
    : stream_(std::in_place_type<TlsStream>, std::move(stream)),
      block_(kBlockBytes, '\0'),
      pause_(this->socket().get_executor()) {}

FrameChannel::Socket& FrameChannel::socket() {
  TlsStream* tls = std::get_if<TlsStream>(&stream_);
  return tls != nullptr ? tls->next_layer() : std::get<Socket>(stream_);
}

void FrameChannel::start() {
  if (std::holds_alternative<TlsStream>(stream_)) return read_secret();
  await_bytes();
}

void FrameChannel::send(const proto::Frame& frame) {
  if (closed_) return;
  if (const Status appended = proto::append_frame(frame, outgoing_); !appended)
    return fail_with(appended.error());
  if (outgoing_.size() > kMaxQueuedBytes) {
    return fail_with({ErrorCode::kIo, fmt::format("{} bytes wait for a peer that does not read; {} may",
                                                  outgoing_.size(), kMaxQueuedBytes)});
  }
  if (writing_) return;
  writing_ = true;
  // Written after the current handler, so that everything it sends leaves together.
  boost::asio::post(socket().get_executor(), [self = shared_from_this()] { self->write_some(); });
}

void FrameChannel::close() {
  closed_ = true;
  handlers_ = {};
  pause_.cancel();
  deaf_.reset();
  boost::system::error_code ignored;  // closing what is broken already
  socket().close(ignored);
}

void FrameChannel::await_bytes() {
  socket().async_wait(Socket::wait_read, [self = shared_from_this()](const boost::system::error_code& error) {
    if (self->closed_) return;
    if (error) return self->fail_reading(error);
    self->read_now();
    self->read_on();
  });
}

void FrameChannel::read_on() {
  if (closed_) return;
  const auto patience = handlers_.patience ? handlers_.patience() : std::chrono::milliseconds(0);
  if (patience.count() > 0) return be_deaf_for(patience);
  listen();
  if (!closed_) await_bytes();
}

/// Whatever arrives at a socket that the loop knows wakes it, whether it is awaited or not.
void FrameChannel::be_deaf_for(std::chrono::milliseconds time) {
  boost::system::error_code error;
  if (deaf_.get() < 0 && !is_in_flight_) {
    if (!protocol_) protocol_ = socket().local_endpoint(error).protocol();
    if (!error) deaf_.reset(socket().release(error));
  }
  pause_.expires_after(time);
  pause_.async_wait([self = shared_from_this()](const boost::system::error_code& cancelled) {
    if (cancelled || self->closed_) return;
    self->read_now();
    self->read_on();
  });
}

void FrameChannel::listen() {
  if (deaf_.get() < 0) return;
  boost::system::error_code error;
  socket().assign(*protocol_, deaf_.get(), error);
  if (error) return fail_with({ErrorCode::kIo, error.message()});
  static_cast<void>(deaf_.release());
  if (!writing_) write_some();
}

void FrameChannel::read_now() {
  if (std::holds_alternative<TlsStream>(stream_) || std::exchange(reading_, true)) return;
  for (bool may_be_more = true; may_be_more && !closed_;) {
    const int fd = deaf_.get() < 0 ? socket().native_handle() : deaf_.get();
    const ssize_t got = ::recv(fd, block_.data(), block_.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) break;
    if (got < 0) return fail_reading({errno, boost::system::system_category()});
    if (got == 0) return fail_reading(boost::asio::error::eof);
    take(static_cast<std::size_t>(got));
    may_be_more = static_cast<std::size_t>(got) == block_.size();
  }
  reading_ = false;
}

void FrameChannel::read_secret() {
  std::get<TlsStream>(stream_).async_read_some(
      boost::asio::buffer(block_),
      [self = shared_from_this()](const boost::system::error_code& error, std::size_t n_bytes) {
        if (self->closed_) return;
        if (error) return self->fail_reading(error);
        self->take(n_bytes);
        if (!self->closed_) self->read_secret();
      });
}

/// Of `block_`.
void FrameChannel::take(std::size_t n_bytes) {
  reader_.feed(std::string_view(block_).substr(0, n_bytes));
  while (!closed_) {
    const auto frame = reader_.next();
    if (!frame) return fail_with(frame.error());
    if (!frame->has_value()) return;
    const auto on_frame = handlers_.on_frame;  // it may close the channel, which drops the handlers
    on_frame(**frame);
  }
}

void FrameChannel::fail_reading(const boost::system::error_code& error) {
  if (error == boost::asio::error::eof || error == boost::asio::ssl::error::stream_truncated)
    return fail_with({ErrorCode::kUnreachable, "the peer closed the connection"});
  fail_with({ErrorCode::kIo, error.message()});
}

void FrameChannel::write_some() {
  writing_ = false;
  if (closed_ || outgoing_.empty()) return;
  if (deaf_.get() >= 0) return write_directly();
  writing_ = true;
  is_in_flight_ = true;
  in_flight_.clear();
  std::swap(in_flight_, outgoing_);
  auto written = [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
    if (self->closed_) return;
    self->is_in_flight_ = false;
    // What the peer sent before it went away is still read; the end of the stream tells the rest.
    if (!error) self->write_some();
  };
  std::visit(
      [&](auto& stream) {
        boost::asio::async_write(stream, boost::asio::buffer(in_flight_), std::move(written));
      },
      stream_);
}

/// As much as the socket takes; the rest when the loop listens to it again.
void FrameChannel::write_directly() {
  std::size_t n_sent = 0;
  while (n_sent < outgoing_.size()) {
    const ssize_t sent = ::send(deaf_.get(), outgoing_.data() + n_sent, outgoing_.size() - n_sent,
                                MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) break;  // full; what else there is to say about it, reading says
    n_sent += static_cast<std::size_t>(sent);
  }
  outgoing_.erase(0, n_sent);
}

void FrameChannel::fail_with(const Error& error) {
  if (closed_) return;
  const auto on_closed = handlers_.on_closed;
  close();
  if (on_closed) on_closed(error);
}

}  // namespace gauntlet::worker
