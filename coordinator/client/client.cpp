#include "coordinator/client/client.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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
  return Endpoint{(*address)["host"].get<std::string>(), (*address)["port"].get<std::uint16_t>(),
                  std::move(token)};
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
  GAUNTLET_TRY(const std::string bytes, proto::encode_frame(frame));
  return send_bytes(bytes, deadline_in(timeout));
}

Result<proto::Frame> Client::receive(Milliseconds timeout) { return receive_until(deadline_in(timeout)); }

Status Client::send_bytes(std::string_view bytes, SteadyTime deadline) {
  while (!bytes.empty()) {
    const ssize_t n_sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n_sent > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(n_sent));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      GAUNTLET_CHECK_OK(wait_for(socket_, POLLOUT, deadline, where_));
    } else if (errno != EINTR) {
      return fail(ErrorCode::kUnreachable, "the coordinator at {} closed the connection: {}", where_,
                  std::strerror(errno));
    }
  }
  return {};
}

Result<proto::Frame> Client::receive_until(SteadyTime deadline) {
  std::array<char, 65536> buffer{};
  for (;;) {
    GAUNTLET_TRY(std::optional<proto::Frame> frame, reader_.next());
    if (frame) return std::move(*frame);
    const ssize_t n_read = ::recv(socket_, buffer.data(), buffer.size(), 0);
    if (n_read > 0) {
      reader_.feed({buffer.data(), static_cast<std::size_t>(n_read)});
    } else if (n_read == 0) {
      return fail(ErrorCode::kUnreachable, "the coordinator at {} closed the connection", where_);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      GAUNTLET_CHECK_OK(wait_for(socket_, POLLIN, deadline, where_));
    } else if (errno != EINTR) {
      return fail(ErrorCode::kUnreachable, "the coordinator at {} closed the connection: {}", where_,
                  std::strerror(errno));
    }
  }
}

}  // namespace gauntlet::client
