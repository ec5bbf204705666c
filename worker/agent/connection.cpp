#include "worker/agent/connection.hpp"

#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <utility>

#include "core/base/files.hpp"
#include "core/base/json.hpp"
#include "core/base/version.hpp"
#include "core/proto/address.hpp"
#include "core/proto/frame.hpp"

namespace gauntlet::worker {
namespace {

using boost::asio::ip::tcp;

constexpr std::chrono::milliseconds kFirstPause{20};
constexpr std::chrono::milliseconds kLongestPause{2000};
/// From the first packet to the welcome.
constexpr std::chrono::seconds kJoinDeadline{15};
constexpr std::size_t kMaxAddressBytes = 64 << 10;

Result<std::string> read_token(const std::filesystem::path& file) {
  Result<std::string> token = read_file(file, kMaxAddressBytes);
  if (!token) {
    return fail(ErrorCode::kUnreachable, "no token was given, and the work folder has none: {}",
                token.error().message);
  }
  struct ::stat facts {};
  if (::stat(file.c_str(), &facts) == 0 && (facts.st_mode & 077) != 0) {
    return fail(ErrorCode::kRefused, "{} can be read by others (mode {:o}); run `chmod 600 {}`",
                file.string(), facts.st_mode & 0777, file.string());
  }
  while (!token->empty() && (token->back() == '\n' || token->back() == ' ')) token->pop_back();
  return token;
}

}  // namespace

Result<Address> find_coordinator(const std::filesystem::path& workdir, const Address& given) {
  Address address = given;
  if (address.host.empty()) {
    const std::filesystem::path path = workdir / "coordinator.json";
    const Result<std::string> text = read_file(path, kMaxAddressBytes);
    if (!text) {
      return fail(ErrorCode::kUnreachable, "no coordinator has left its address in {}: {}", workdir.string(),
                  text.error().message);
    }
    GAUNTLET_TRY(const Json document, parse_json(*text, path.string()));
    const bool complete = document.is_object() && document.contains("host") && document["host"].is_string() &&
                          document.contains("port") && document["port"].is_number_unsigned();
    if (!complete || document["port"].get<std::uint64_t>() > 65535) {
      return fail(ErrorCode::kCorrupt, "{} has no host and port: {}", path.string(), *text);
    }
    address.host = proto::coordinator_host(document);
    address.port = document["port"].get<std::uint16_t>();
    const auto fingerprint = document.find("tls_fingerprint");
    if (!address.trust.is_set() && fingerprint != document.end() && fingerprint->is_string()) {
      GAUNTLET_TRY(address.trust.fingerprint, tls::parse_fingerprint(fingerprint->get<std::string>()));
    }
  }
  if (address.token.empty()) {
    GAUNTLET_TRY(address.token, read_token(workdir / "token"));
  }
  return address;
}

Connection::Connection(boost::asio::io_context& context, std::filesystem::path workdir, Address given,
                       Handlers handlers)
    : context_(context),
      workdir_(std::move(workdir)),
      given_(std::move(given)),
      handlers_(std::move(handlers)),
      resolver_(context),
      timer_(context),
      pause_(kFirstPause),
      jitter_(static_cast<unsigned>(::getpid())) {}

Connection::~Connection() { stop(); }

void Connection::start() { connect(); }

void Connection::stop() {
  state_ = State::kStopped;
  ++round_;
  timer_.cancel();
  give_up_connecting();
  if (channel_) channel_->close();
}

void Connection::give_up_connecting() {
  resolver_.cancel();
  boost::system::error_code ignored;
  if (shaking_hands_) shaking_hands_->next_layer().close(ignored);
  shaking_hands_.reset();
  if (connecting_) connecting_->close(ignored);
  connecting_.reset();
}

void Connection::send(const proto::Frame& frame) {
  if (state_ == State::kJoined) channel_->send(frame);
}

std::chrono::milliseconds Connection::silence() const {
  if (state_ != State::kJoined) return std::chrono::milliseconds(0);
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - heard_);
}

void Connection::connect() {
  const Result<Address> address = find_coordinator(workdir_, given_);
  state_ = State::kConnecting;
  const std::uint64_t round = ++round_;
  if (!address) return refuse(address.error());
  timer_.expires_after(kJoinDeadline);
  timer_.async_wait([this, round](const boost::system::error_code& error) {
    if (error || round != round_) return;
    reconnect({ErrorCode::kTimedOut,
               fmt::format("the coordinator did not answer within {} s", kJoinDeadline.count())});
  });
  const auto failed = [this, address = *address](const boost::system::error_code& error) {
    reconnect({ErrorCode::kUnreachable,
               fmt::format("no coordinator at {}:{}: {}", address.host, address.port, error.message())});
  };
  connecting_ = std::make_shared<tcp::socket>(context_);
  const auto connected = [this, round, failed, socket = connecting_, address = *address](
                             const boost::system::error_code& error, const tcp::endpoint&) {
    if (round != round_) return;
    if (error) return failed(error);
    connecting_.reset();
    boost::system::error_code ignored;  // only slower without it
    socket->set_option(tcp::no_delay(true), ignored);
    if (address.trust.is_set()) return shake_hands(FrameChannel::Socket(std::move(*socket)), address);
    greet(std::make_shared<FrameChannel>(FrameChannel::Socket(std::move(*socket))), address.token);
  };
  resolver_.async_resolve(address->host, std::to_string(address->port), tcp::resolver::numeric_service,
                          [this, round, failed, connected](const boost::system::error_code& error,
                                                           const tcp::resolver::results_type& endpoints) {
                            if (round != round_) return;
                            if (error) return failed(error);
                            boost::asio::async_connect(*connecting_, endpoints, connected);
                          });
}

void Connection::shake_hands(FrameChannel::Socket socket, const Address& address) {
  Result<tls::Owned<SSL_CTX>> trusted = tls::client_context(address.trust);
  if (!trusted) return refuse(trusted.error());
  boost::asio::ssl::context context(trusted->release());  // its streams keep what they need of it
  auto stream = std::make_shared<FrameChannel::TlsStream>(std::move(socket), context);
  tls::expect_host(*stream->native_handle(), address.trust, address.host);
  shaking_hands_ = stream;
  const std::uint64_t round = round_;
  stream->async_handshake(FrameChannel::TlsStream::client, [this, round, stream,
                                                            address](const boost::system::error_code& error) {
    if (round != round_) return;
    shaking_hands_.reset();
    const std::string where = fmt::format("{}:{}", address.host, address.port);
    if (error) return refuse(tls::handshake_error(*stream->native_handle(), where, error.message()));
    const Status known = tls::check_peer(*stream->native_handle(), address.trust, where);
    if (!known) return refuse(known.error());
    greet(std::make_shared<FrameChannel>(std::move(*stream)), address.token);
  });
}

void Connection::greet(std::shared_ptr<FrameChannel> channel, const std::string& token) {
  channel_ = std::move(channel);
  const std::uint64_t round = round_;
  channel_->set_handlers({[this, round](const proto::Frame& frame) {
                            if (round == round_) take(frame);
                          },
                          [this, round](const Error& error) {
                            if (round == round_) reconnect(error);
                          }});
  channel_->start();
  state_ = State::kGreeting;
  proto::Frame frame;
  frame.set_id(1);
  frame.mutable_hello()->set_protocol(proto::kProtocolVersion);
  frame.mutable_hello()->set_token(token);
  frame.mutable_hello()->set_role("worker");
  frame.mutable_hello()->set_version(std::string(version()));
  channel_->send(frame);
}

void Connection::take(const proto::Frame& frame) {
  heard_ = std::chrono::steady_clock::now();
  if (state_ == State::kJoined) return handlers_.on_frame(frame);
  if (frame.has_failure()) return refuse(proto::error_of(frame.failure()));
  if (state_ == State::kGreeting && frame.has_welcome()) {
    if (frame.welcome().protocol() != proto::kProtocolVersion) {
      return refuse({ErrorCode::kRefused, fmt::format("the coordinator speaks protocol {}, this worker {}",
                                                      frame.welcome().protocol(), proto::kProtocolVersion)});
    }
    state_ = State::kJoining;
    proto::Frame join;
    join.set_id(2);
    *join.mutable_worker_join() = handlers_.join();
    return channel_->send(join);
  }
  if (state_ == State::kJoining && frame.has_worker_welcome()) {
    state_ = State::kJoined;
    pause_ = kFirstPause;
    timer_.cancel();
    return handlers_.on_joined(frame.worker_welcome());
  }
  reconnect({ErrorCode::kCorrupt,
             fmt::format("the coordinator sent {} before the welcome", proto::name_of(frame.body_case()))});
}

void Connection::refuse(const Error& error) {
  if (error.code != ErrorCode::kRefused) return reconnect(error);
  last_error_ = error;
  stop();
  handlers_.on_refused(error);
}

void Connection::reconnect(const Error& reason) {
  if (state_ == State::kStopped) return;
  const bool was_joined = state_ == State::kJoined;
  ++round_;
  state_ = State::kIdle;
  last_error_ = reason;
  spdlog::debug("not connected: {}", reason.message);
  if (channel_) channel_->close();
  channel_.reset();
  give_up_connecting();
  retry_later();
  if (was_joined) handlers_.on_lost(reason);
}

void Connection::retry_later() {
  // Between half and all of the pause, so that many workers do not come back in one moment.
  const auto half = pause_.count() / 2;
  const auto wait =
      std::chrono::milliseconds(half + std::uniform_int_distribution<std::int64_t>(0, half)(jitter_));
  pause_ = std::min(pause_ * 2, kLongestPause);
  const std::uint64_t round = round_;
  timer_.expires_after(wait);
  timer_.async_wait([this, round](const boost::system::error_code& error) {
    if (!error && round == round_) connect();
  });
}

}  // namespace gauntlet::worker
