#include "worker/launch/frame_channel.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
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
  boost::system::error_code ignored;  // then read_now() would wait
  socket().non_blocking(true, ignored);
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
  if (patience.count() == 0) return await_bytes();
  pause_.expires_after(patience);
  pause_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error && !self->closed_) self->await_bytes();
  });
}

void FrameChannel::read_now() {
  Socket* const plain = std::get_if<Socket>(&stream_);
  if (plain == nullptr || std::exchange(reading_, true)) return;
  for (bool may_be_more = true; may_be_more && !closed_;) {
    boost::system::error_code error;
    const std::size_t n_bytes = plain->read_some(boost::asio::buffer(block_), error);
    if (error == boost::asio::error::would_block || error == boost::asio::error::interrupted) break;
    if (error) return fail_reading(error);
    take(n_bytes);
    may_be_more = n_bytes == block_.size();
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
  writing_ = true;
  in_flight_.clear();
  std::swap(in_flight_, outgoing_);
  auto written = [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
    if (self->closed_) return;
    // What the peer sent before it went away is still read; the end of the stream tells the rest.
    if (!error) self->write_some();
  };
  std::visit(
      [&](auto& stream) {
        boost::asio::async_write(stream, boost::asio::buffer(in_flight_), std::move(written));
      },
      stream_);
}

void FrameChannel::fail_with(Error error) {
  if (closed_) return;
  const auto on_closed = handlers_.on_closed;
  close();
  if (on_closed) on_closed(error);
}

}  // namespace gauntlet::worker
