#include "coordinator/net/session.hpp"

#include <spdlog/logger.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace gauntlet::coordinator {
namespace {

namespace asio = boost::asio;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

constexpr std::size_t kReadBytes = std::size_t{64} << 10;
/// Of the first frame: nobody without the token makes us keep more.
constexpr std::size_t kMaxHelloBytes = std::size_t{64} << 10;
/// Small frames are glued together up to this size, so that one write carries many.
constexpr std::size_t kGlueBytes = std::size_t{64} << 10;

asio::ip::tcp::endpoint remote_of(const asio::ip::tcp::socket& socket) {
  boost::system::error_code error;  // it may be gone already
  return socket.remote_endpoint(error);
}

}  // namespace

Session::Session(asio::ip::tcp::socket socket, asio::ssl::context* tls, const SessionLimits& limits,
                 FrameHandler& handler, std::shared_ptr<spdlog::logger> log)
    : stream_(tls == nullptr ? std::variant<Plain, Tls>(std::in_place_type<Plain>, std::move(socket))
                             : std::variant<Plain, Tls>(std::in_place_type<Tls>, std::move(socket), *tls)),
      limits_(limits),
      handler_(handler),
      log_(std::move(log)),
      address_(remote_of(this->socket()).address()),
      peer_(fmt::format("{}:{}", address_.to_string(), remote_of(this->socket()).port())),
      reader_(kMaxHelloBytes),
      wake_writer_(executor()),
      wake_reader_(executor()),
      watchdog_(executor()) {
  boost::system::error_code ignored;
  this->socket().set_option(asio::ip::tcp::no_delay(true), ignored);
}

Session::Plain& Session::socket() {
  Tls* tls = std::get_if<Tls>(&stream_);
  return tls != nullptr ? tls->next_layer() : std::get<Plain>(stream_);
}

void Session::start() {
  read_deadline_ = std::chrono::steady_clock::now() + limits_.hello;
  spawn(read_frames(), "reading");
  spawn(write_frames(), "writing");
  spawn(watch(), "watching");
}

void Session::spawn(asio::awaitable<void> coroutine, std::string_view what) {
  asio::co_spawn(executor(), std::move(coroutine),
                 [self = shared_from_this(), what](const std::exception_ptr& thrown) {
                   if (!thrown) return;
                   try {
                     std::rethrow_exception(thrown);
                   } catch (const std::exception& error) {
                     self->log_->error("{}: {} ended by an exception: {}", self->peer_, what, error.what());
                   }
                   self->close("internal error");
                 });
}

Milliseconds Session::idle_limit() const {
  if (!greeted_) return limits_.hello;
  return is_worker_ ? limits_.worker_idle : limits_.client_idle;
}

asio::awaitable<bool> Session::begin() {
  Plain& raw = socket();
  co_await raw.async_wait(Plain::wait_read, kTuple);
  std::array<unsigned char, 3> first{};
  boost::system::error_code error;  // what is wrong shows again when it is read
  const std::size_t n_bytes = raw.receive(asio::buffer(first), Plain::message_peek, error);
  // A TLS handshake's record; as the length of a frame it would announce 66 KB before the token.
  const bool speaks_tls = first[0] == 0x16 && first[1] == 0x03 && first[2] >= 1 && first[2] <= 4;
  Tls* tls = std::get_if<Tls>(&stream_);
  if (tls == nullptr) {
    if (n_bytes < first.size() || !speaks_tls) co_return open_;
    log_->warn("{}: refused: it speaks TLS, and this coordinator was started without --tls", peer_);
    close("it speaks TLS");
    co_return false;
  }
  if (n_bytes == first.size() && !speaks_tls) {
    co_await turn_away_plain_peer(raw);
    co_return false;
  }
  const auto [failed] = co_await tls->async_handshake(Tls::server, kTuple);
  if (!failed) co_return open_;
  log_->warn("{}: refused: the TLS handshake failed: {}", peer_, failed.message());
  close(failed.message());
  co_return false;
}

asio::awaitable<void> Session::turn_away_plain_peer(Plain& raw) {
  const Error refusal{ErrorCode::kRefused,
                      "this coordinator speaks TLS only; give the fingerprint of its certificate with "
                      "--tls-fingerprint or in GAUNTLET_TLS_FINGERPRINT"};
  log_->warn("{}: refused: it does not speak TLS", peer_);
  const Result<std::string> bytes = proto::encode_frame(proto::failure_frame(0, refusal));
  if (bytes) co_await asio::async_write(raw, asio::buffer(*bytes), kTuple);
  boost::system::error_code error;
  raw.shutdown(Plain::shutdown_send, error);
  // What it said is read, since closing on unread bytes would take the answer back.
  std::array<char, 4096> unread{};
  while (open_ && !error)
    std::tie(error, std::ignore) = co_await raw.async_read_some(asio::buffer(unread), kTuple);
  close("it does not speak TLS");
}

asio::awaitable<void> Session::read_frames() {
  const auto self = shared_from_this();
  if (!co_await begin()) co_return;
  std::string buffer(kReadBytes, '\0');
  while (open_) {
    const auto [error, n_bytes] = co_await std::visit(
        [&](auto& stream) { return stream.async_read_some(asio::buffer(buffer), kTuple); }, stream_);
    if (error) {
      const bool closed = error == asio::error::eof || error == asio::ssl::error::stream_truncated;
      close(closed ? "peer closed" : error.message());
      co_return;
    }
    handler_.net().bytes_in += n_bytes;
    const std::string_view arrived = std::string_view(buffer).substr(0, n_bytes);
    reader_.feed(arrived);
    read_deadline_ = SteadyTime::max();  // handling a frame is not the peer's time
    for (;;) {
      Result<std::optional<proto::Frame>> next = reader_.next();
      if (!next) {
        log_->warn("{}: {}", peer_, next.error().message);
        fail(0, next.error());
        close_when_sent();
        co_return;
      }
      if (!*next) break;
      ++handler_.net().frames_in;
      const bool is_hello = !greeted_;
      const Status taken = co_await take(std::move(**next));
      if (!taken) {
        log_->warn("{}: refused: {}", peer_, taken.error().message);
        close_when_sent();
        co_return;
      }
      if (is_hello) {  // frames may be long from now on; what is left of these bytes came with its end
        const std::size_t n_left = reader_.buffered();
        reader_ = proto::FrameReader();
        reader_.feed(arrived.substr(arrived.size() - n_left));
      }
      if (!is_worker_ && outbound_bytes_ > limits_.high_outbound_bytes) co_await let_it_read();
      if (!open_) co_return;
    }
    const Milliseconds limit = greeted_ && reader_.buffered() > 0 ? limits_.frame : idle_limit();
    read_deadline_ = std::chrono::steady_clock::now() + limit;
    rearm();
  }
}

/// The write's own deadline ends a peer that never does.
asio::awaitable<void> Session::let_it_read() {
  while (open_ && outbound_bytes_ > limits_.high_outbound_bytes / 2) {
    wake_reader_.expires_at(SteadyTime::max());
    co_await wake_reader_.async_wait(kTuple);
  }
}

asio::awaitable<Status> Session::take(proto::Frame frame) {
  if (greeted_) {
    co_await handler_.handle(shared_from_this(), std::move(frame));
    co_return Status{};
  }
  const std::uint64_t id = frame.id();
  if (!frame.has_hello()) {
    Error error{ErrorCode::kInvalid,
                fmt::format("the first message must be hello, not {}", name_of(frame.body_case()))};
    fail(id, error);
    co_return gauntlet::fail(std::move(error));
  }
  Result<proto::Welcome> welcome = co_await handler_.greet(shared_from_this(), frame.hello());
  if (!welcome) {
    fail(id, welcome.error());
    co_return gauntlet::fail(std::move(welcome.error()));
  }
  greeted_ = true;
  is_worker_ = frame.hello().role() == "worker";
  proto::Frame answer;
  answer.set_id(id);
  *answer.mutable_welcome() = std::move(*welcome);
  send(answer);
  co_return Status{};
}

void Session::send(const proto::Frame& frame) {
  if (!open_ || closing_) return;
  Outbound outbound;
  std::string& bytes = outbound.pieces.text;
  const Status encoded = proto::append_frame(frame, bytes);
  if (!encoded) {
    log_->error("{}: {}", peer_, encoded.error().message);
    bytes.clear();
    if (!proto::append_frame(proto::failure_frame(frame.id(), encoded.error()), bytes)) return;
  }
  queue(std::move(outbound));
}

void Session::send_long(proto::Frame frame) {
  if (!open_ || closing_) return;
  Outbound outbound{std::make_unique<const proto::Frame>(std::move(frame)), {}};
  Result<proto::FramePieces> pieces = proto::encode_in_pieces(*outbound.frame);
  if (!pieces) return send(*outbound.frame);  // which says what is wrong
  outbound.pieces = std::move(*pieces);
  if (outbound.pieces.field.empty()) outbound.frame.reset();
  queue(std::move(outbound));
}

void Session::queue(Outbound outbound) {
  const std::size_t n_bytes = outbound.pieces.size();
  outbound_bytes_ += n_bytes;
  if (outbound_bytes_ > limits_.max_outbound_bytes) {
    close(fmt::format("it does not read: {} bytes are unsent", outbound_bytes_));
    return;
  }
  const bool glued = !outbound_.empty() && outbound_.back().frame == nullptr && outbound.frame == nullptr &&
                     outbound_.back().pieces.size() + n_bytes <= kGlueBytes;
  if (glued) {
    outbound_.back().pieces.text += outbound.pieces.text;
  } else {
    outbound_.push_back(std::move(outbound));
  }
  wake_writer_.cancel();
}

asio::awaitable<void> Session::write_frames() {
  const auto self = shared_from_this();
  while (open_) {
    if (outbound_.empty()) {
      if (closing_) {
        close("done");
        co_return;
      }
      wake_writer_.expires_at(SteadyTime::max());
      co_await wake_writer_.async_wait(kTuple);
      continue;
    }
    const Outbound outbound = std::move(outbound_.front());
    outbound_.pop_front();
    std::array<asio::const_buffer, 3> buffers;
    std::ranges::transform(outbound.pieces.in_order(), buffers.begin(),
                           [](std::string_view piece) { return asio::buffer(piece); });
    write_deadline_ = std::chrono::steady_clock::now() + limits_.frame;
    rearm();
    const auto [error, n_bytes] = co_await std::visit(
        [&](auto& stream) { return asio::async_write(stream, buffers, kTuple); }, stream_);
    write_deadline_ = SteadyTime::max();
    handler_.net().bytes_out += n_bytes;
    outbound_bytes_ -= std::min(outbound_bytes_, outbound.pieces.size());
    wake_reader_.cancel();
    if (error) {
      close(error.message());
      co_return;
    }
  }
}

asio::awaitable<void> Session::watch() {
  const auto self = shared_from_this();
  while (open_) {
    const SteadyTime now = std::chrono::steady_clock::now();
    if (read_deadline_ <= now || write_deadline_ <= now) {
      close(read_deadline_ <= now ? "it was silent for too long" : "it does not read");
      co_return;
    }
    watchdog_.expires_at(std::min(read_deadline_, write_deadline_));
    co_await watchdog_.async_wait(kTuple);
  }
}

/// A later deadline is seen when the earlier one is due; only an earlier one has to wake the watchdog.
void Session::rearm() {
  if (std::min(read_deadline_, write_deadline_) < watchdog_.expiry()) watchdog_.cancel();
}

void Session::close_when_sent() {
  closing_ = true;
  if (write_deadline_ == SteadyTime::max())
    write_deadline_ = std::chrono::steady_clock::now() + limits_.frame;
  rearm();
  wake_writer_.cancel();
}

void Session::close(std::string_view reason) {
  if (!open_) return;
  open_ = false;
  log_->debug("{}: closed: {}", peer_, reason);
  boost::system::error_code ignored;
  socket().shutdown(Plain::shutdown_both, ignored);
  socket().close(ignored);
  wake_writer_.cancel();
  wake_reader_.cancel();
  watchdog_.cancel();
  if (greeted_) handler_.closed(*this);
  pending.reset();
}

}  // namespace gauntlet::coordinator
