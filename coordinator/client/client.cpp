#include "coordinator/client/client.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

#include "core/base/files.hpp"
#include "core/base/json.hpp"
#include "core/base/version.hpp"
#include "core/proto/address.hpp"
#include "core/proto/frame_pieces.hpp"

namespace gauntlet::client {
namespace {

SteadyTime deadline_in(Milliseconds timeout) { return std::chrono::steady_clock::now() + timeout; }

/// Waits until the socket can do `events`. Errors: kTimedOut.
Status wait_for(int socket, short events, SteadyTime deadline, const std::string& where) {
  for (;;) {
    const auto left = std::chrono::duration_cast<Milliseconds>(deadline - std::chrono::steady_clock::now());
    ::pollfd waited{.fd = socket, .events = events, .revents = 0};
    const int n_ready =
        ::poll(&waited, 1, static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1 << 30)));
    if (n_ready > 0) return {};
    if (n_ready < 0 && errno != EINTR)
      return fail(ErrorCode::kIo, "cannot wait for {}: {}", where, std::strerror(errno));
    if (n_ready == 0)
      return fail(ErrorCode::kTimedOut, "the coordinator at {} did not answer in time", where);
  }
}

Error unreachable(const std::string& where, int error) {
  return {ErrorCode::kUnreachable,
          fmt::format("no coordinator answers at {}: {}", where, std::strerror(error))};
}

Result<int> connect_to(const ::addrinfo& address, SteadyTime deadline, const std::string& where) {
  const int socket = ::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket < 0) return fail(ErrorCode::kIo, "cannot make a socket: {}", std::strerror(errno));
  const auto give_up = [socket](Error error) {
    ::close(socket);
    return fail(std::move(error));
  };
  if (::connect(socket, address.ai_addr, address.ai_addrlen) != 0) {
    if (errno != EINPROGRESS) return give_up(unreachable(where, errno));
    const Status ready = wait_for(socket, POLLOUT, deadline, where);
    if (!ready) return give_up(ready.error());
    int error = 0;
    ::socklen_t size = sizeof error;
    ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return give_up(unreachable(where, error));
  }
  const int yes = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  return socket;
}

Result<int> connect_to(const Endpoint& endpoint, SteadyTime deadline, const std::string& where) {
  ::addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  ::addrinfo* found = nullptr;
  const int failed =
      ::getaddrinfo(endpoint.host.c_str(), std::to_string(endpoint.port).c_str(), &hints, &found);
  if (failed != 0) {
    return fail(ErrorCode::kUnreachable, "host '{}' is not known: {}", endpoint.host, ::gai_strerror(failed));
  }
  const std::unique_ptr<::addrinfo, decltype(&::freeaddrinfo)> addresses(found, &::freeaddrinfo);
  Result<int> socket = fail(ErrorCode::kUnreachable, "host '{}' has no address", endpoint.host);
  for (const ::addrinfo* address = found; address != nullptr && !socket; address = address->ai_next) {
    socket = connect_to(*address, deadline, where);
  }
  return socket;
}

Result<std::uint16_t> port_from(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || port == 0) {
    return fail(ErrorCode::kInvalid, "'{}' is not a port; allowed are 1 to 65535", text);
  }
  return port;
}

}  // namespace

// ---------------------------------------------------------------- where

Result<std::string> read_token(const std::filesystem::path& file) {
  struct ::stat facts {};
  if (::stat(file.c_str(), &facts) != 0) return fail(system_error(errno, "read", file));
  if ((facts.st_mode & 077) != 0) {
    return fail(ErrorCode::kRefused, "{} can be read by others (mode {:o}); run `chmod 600 {}`",
                file.string(), facts.st_mode & 0777, file.string());
  }
  GAUNTLET_TRY(std::string token, read_file(file, 4096));
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.pop_back();
  return token;
}

Result<Endpoint> find_coordinator(const std::filesystem::path& workdir) {
  const std::filesystem::path path = workdir / "coordinator.json";
  Result<std::string> text = read_file(path, 4096);
  if (!text && text.error().code == ErrorCode::kNotFound) {
    return fail(ErrorCode::kUnreachable,
                "no coordinator serves {}; start one with `gauntlet coordinator --workdir {}`",
                workdir.string(), workdir.string());
  }
  if (!text) return fail(std::move(text.error()));
  const Result<Json> address = parse_json(*text, path.string());
  if (!address || !address->is_object() || !address->contains("host") || !address->contains("port") ||
      !(*address)["host"].is_string() || !(*address)["port"].is_number_unsigned() ||
      (*address)["port"] > 65535) {
    return fail(ErrorCode::kCorrupt, "{} does not say where the coordinator listens", path.string());
  }
  GAUNTLET_TRY(std::string token, read_token(workdir / "token"));
  Endpoint endpoint{proto::coordinator_host(*address), (*address)["port"].get<std::uint16_t>(),
                    std::move(token)};
  if (address->contains("tls_fingerprint") && (*address)["tls_fingerprint"].is_string()) {
    GAUNTLET_TRY(endpoint.trust.fingerprint,
                 tls::parse_fingerprint((*address)["tls_fingerprint"].get<std::string>()));
  }
  return endpoint;
}

Result<Endpoint> parse_endpoint(std::string_view text, std::string token) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) {
    return fail(ErrorCode::kInvalid, "'{}' is not an address; write host:port", text);
  }
  std::string_view host = text.substr(0, colon);
  if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  GAUNTLET_TRY(const std::uint16_t port, port_from(text.substr(colon + 1)));
  return Endpoint{std::string(host), port, std::move(token)};
}

// ---------------------------------------------------------------- connection

Client::Client(Client&& other) noexcept { *this = std::move(other); }

Client& Client::operator=(Client&& other) noexcept {
  std::swap(socket_, other.socket_);
  std::swap(tls_, other.tls_);
  std::swap(last_id_, other.last_id_);
  std::swap(where_, other.where_);
  std::swap(reader_, other.reader_);
  std::swap(welcome_, other.welcome_);
  return *this;
}

Client::~Client() {
  if (socket_ >= 0) ::close(socket_);
}

Result<Client> Client::connect(const Endpoint& endpoint, Milliseconds timeout, std::string_view role) {
  Client client;
  client.where_ = fmt::format("{}:{}", endpoint.host, endpoint.port);
  const SteadyTime deadline = deadline_in(timeout);
  GAUNTLET_TRY(client.socket_, connect_to(endpoint, deadline, client.where_));
  if (endpoint.trust.is_set()) GAUNTLET_CHECK_OK(client.shake_hands(endpoint, deadline));
  GAUNTLET_CHECK_OK(client.greet(endpoint, deadline, role));
  return client;
}

Result<Client> Client::connect(const std::filesystem::path& workdir, Milliseconds timeout) {
  GAUNTLET_TRY(const Endpoint endpoint, find_coordinator(workdir));
  return connect(endpoint, timeout);
}

Status Client::greet(const Endpoint& endpoint, SteadyTime deadline, std::string_view role) {
  proto::Frame hello;
  hello.set_id(++last_id_);
  hello.mutable_hello()->set_protocol(proto::kProtocolVersion);
  hello.mutable_hello()->set_token(endpoint.token);
  hello.mutable_hello()->set_role(std::string(role));
  hello.mutable_hello()->set_version(std::string(gauntlet::version()));
  GAUNTLET_TRY(const std::string bytes, proto::encode_frame(hello));
  GAUNTLET_CHECK_OK(send_bytes(bytes, deadline));
  GAUNTLET_TRY(proto::Frame answer, receive_until(deadline));
  if (answer.has_failure()) return fail(proto::error_of(answer.failure()));
  if (!answer.has_welcome()) {
    return fail(ErrorCode::kUnreachable, "what listens at {} is not a coordinator: it answered hello with {}",
                where_, proto::name_of(answer.body_case()));
  }
  if (answer.welcome().protocol() != proto::kProtocolVersion) {
    return fail(ErrorCode::kRefused,
                "the coordinator at {} ({}) speaks protocol {}; this program ({}) speaks {}", where_,
                answer.welcome().version(), answer.welcome().protocol(), gauntlet::version(),
                proto::kProtocolVersion);
  }
  welcome_ = std::move(*answer.mutable_welcome());
  return {};
}

Result<proto::Frame> Client::request(proto::Frame frame, Milliseconds timeout) {
  const SteadyTime deadline = deadline_in(timeout);
  const std::uint64_t id = ++last_id_;
  frame.set_id(id);
  GAUNTLET_TRY(const std::string bytes, proto::encode_frame(frame));
  GAUNTLET_CHECK_OK(send_bytes(bytes, deadline));
  for (;;) {
    GAUNTLET_TRY(proto::Frame answer, receive_until(deadline));
    const bool is_mine = answer.id() == id || (answer.id() == 0 && answer.has_failure());
    if (!is_mine) continue;
    if (answer.has_failure()) return fail(proto::error_of(answer.failure()));
    return answer;
  }
}

Status Client::send(const proto::Frame& frame, Milliseconds timeout) {
  GAUNTLET_TRY(const proto::FramePieces pieces, proto::encode_in_pieces(frame));
  const SteadyTime deadline = deadline_in(timeout);
  for (const std::string_view piece : pieces.in_order()) GAUNTLET_CHECK_OK(send_bytes(piece, deadline));
  return {};
}

Result<proto::Frame> Client::receive(Milliseconds timeout) { return receive_until(deadline_in(timeout)); }

Status Client::shake_hands(const Endpoint& endpoint, SteadyTime deadline) {
  GAUNTLET_TRY(const tls::Owned<SSL_CTX> context, tls::client_context(endpoint.trust));
  tls_.reset(SSL_new(context.get()));
  if (tls_ == nullptr || SSL_set_fd(tls_.get(), socket_) != 1)
    return fail(ErrorCode::kInternal, "cannot prepare TLS: {}", tls::last_words());
  tls::expect_host(*tls_, endpoint.trust, endpoint.host);
  for (;;) {
    const Moved step = moved_by_tls(SSL_connect(tls_.get()), 1);
    if (step.n_bytes > 0) return tls::check_peer(*tls_, endpoint.trust, where_);
    if (step.events == 0) return fail(tls::handshake_error(*tls_, where_, step.problem));
    GAUNTLET_CHECK_OK(wait_for(socket_, step.events, deadline, where_));
  }
}

Client::Moved Client::moved_by_tls(int result, std::size_t n_bytes) {
  if (result > 0) return {.n_bytes = static_cast<ssize_t>(n_bytes)};
  switch (SSL_get_error(tls_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return {.events = POLLIN};
    case SSL_ERROR_WANT_WRITE:
      return {.events = POLLOUT};
    case SSL_ERROR_ZERO_RETURN:
      return {.n_bytes = 0};
    default:
      return {.n_bytes = 0, .problem = tls::last_words()};
  }
}

Client::Moved Client::write_some(std::string_view bytes) {
  if (tls_ != nullptr) {
    std::size_t n_bytes = 0;
    ERR_clear_error();
    const int result = SSL_write_ex(tls_.get(), bytes.data(), bytes.size(), &n_bytes);
    return moved_by_tls(result, n_bytes);
  }
  const ssize_t n_sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (n_sent >= 0) return {.n_bytes = n_sent};
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return {.events = POLLOUT};
  return {.n_bytes = 0, .problem = std::strerror(errno)};
}

Client::Moved Client::read_some(std::span<char> buffer) {
  if (tls_ != nullptr) {
    std::size_t n_bytes = 0;
    ERR_clear_error();
    const int result = SSL_read_ex(tls_.get(), buffer.data(), buffer.size(), &n_bytes);
    return moved_by_tls(result, n_bytes);
  }
  const ssize_t n_read = ::recv(socket_, buffer.data(), buffer.size(), 0);
  if (n_read >= 0) return {.n_bytes = n_read};
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return {.events = POLLIN};
  return {.n_bytes = 0, .problem = std::strerror(errno)};
}

Status Client::send_bytes(std::string_view bytes, SteadyTime deadline) {
  while (!bytes.empty()) {
    const Moved moved = write_some(bytes);
    if (moved.n_bytes > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(moved.n_bytes));
    } else if (moved.events != 0) {
      GAUNTLET_CHECK_OK(wait_for(socket_, moved.events, deadline, where_));
    } else {
      return closed(moved.problem);
    }
  }
  return {};
}

Result<proto::Frame> Client::receive_until(SteadyTime deadline) {
  std::array<char, 65536> buffer{};
  for (;;) {
    GAUNTLET_TRY(std::optional<proto::Frame> frame, reader_.next());
    if (frame) return std::move(*frame);
    const Moved moved = read_some(buffer);
    if (moved.n_bytes > 0) {
      reader_.feed({buffer.data(), static_cast<std::size_t>(moved.n_bytes)});
    } else if (moved.events != 0) {
      GAUNTLET_CHECK_OK(wait_for(socket_, moved.events, deadline, where_));
    } else {
      return closed(moved.problem);
    }
  }
}

tl::unexpected<Error> Client::closed(const std::string& problem) const {
  return fail(ErrorCode::kUnreachable, "the coordinator at {} closed the connection{}{}", where_,
              problem.empty() ? "" : ": ", problem);
}

}  // namespace gauntlet::client
