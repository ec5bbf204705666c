// A blocking connection to a coordinator: the command line's, and the tests'.
// Thread safety: one thread at a time per Client. With TLS the process has to ignore SIGPIPE.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "core/base/clock.hpp"
#include "core/base/result.hpp"
#include "core/proto/frame.hpp"
#include "core/tls/trust.hpp"

namespace gauntlet::client {

struct Endpoint {
  std::string host;
  std::uint16_t port = 0;
  std::string token;
  tls::Trust trust = {};  ///< set: TLS, and nothing is said to a coordinator it does not hold for
};

/// Where the coordinator of a work folder listens (coordinator.json), its fingerprint and its token. Errors:
/// kUnreachable when no coordinator has been started there, kCorrupt for a file that cannot be read, kRefused
/// for a token others may read.
[[nodiscard]] Result<Endpoint> find_coordinator(const std::filesystem::path& workdir);
/// Reads "host:port" or "[v6]:port". Errors (kInvalid) show the text.
[[nodiscard]] Result<Endpoint> parse_endpoint(std::string_view text, std::string token);
/// The token of a work folder, without the line's end. Errors: kNotFound, kIo; kRefused when others may read
/// the file.
[[nodiscard]] Result<std::string> read_token(const std::filesystem::path& file);

class Client {
 public:
  /// Connects and says Hello. `timeout` covers all of it. Errors: kUnreachable (nobody listens, it hung
  /// up, or does not speak TLS), kTimedOut, kRefused (wrong token, other protocol, a certificate that is not
  /// trusted).
  [[nodiscard]] static Result<Client> connect(const Endpoint& endpoint,
                                              Milliseconds timeout = Milliseconds(5000),
                                              std::string_view role = "client");
  [[nodiscard]] static Result<Client> connect(const std::filesystem::path& workdir,
                                              Milliseconds timeout = Milliseconds(5000));

  Client(Client&& other) noexcept;
  Client& operator=(Client&& other) noexcept;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();

  /// Sends a request (its id is chosen here) and waits for its answer; frames nobody asked for are skipped
  /// meanwhile. A Failure answer comes back as its Error. Errors: kTimedOut, kUnreachable, and the
  /// coordinator's own.
  [[nodiscard]] Result<proto::Frame> request(proto::Frame frame, Milliseconds timeout = Milliseconds(30000));

  /// One frame as it is; for peers that are pushed to (workers).
  [[nodiscard]] Status send(const proto::Frame& frame, Milliseconds timeout = Milliseconds(30000));
  /// The next frame, whatever it is. Errors: kTimedOut, kUnreachable when the peer closed, kCorrupt.
  [[nodiscard]] Result<proto::Frame> receive(Milliseconds timeout);
  [[nodiscard]] const proto::Welcome& welcome() const { return welcome_; }
  /// To wait for several connections at once; frames may be buffered beside it.
  [[nodiscard]] int socket() const { return socket_; }

 private:
  Client() = default;
  [[nodiscard]] Status shake_hands(const Endpoint& endpoint, SteadyTime deadline);
  /// Bytes moved; 0 = the peer hung up; nothing = wait for `events`, if these are not 0.
  struct Moved {
    ssize_t n_bytes = -1;
    short events = 0;
    std::string problem = {};
  };
  [[nodiscard]] Moved write_some(std::string_view bytes);
  [[nodiscard]] Moved read_some(std::span<char> buffer);
  [[nodiscard]] Moved moved_by_tls(int result, std::size_t n_bytes);
  [[nodiscard]] tl::unexpected<Error> closed(const std::string& problem) const;
  [[nodiscard]] Status greet(const Endpoint& endpoint, SteadyTime deadline, std::string_view role);
  [[nodiscard]] Status send_bytes(std::string_view bytes, SteadyTime deadline);
  [[nodiscard]] Result<proto::Frame> receive_until(SteadyTime deadline);

  int socket_ = -1;
  tls::Owned<SSL> tls_;  ///< null = plain
  std::uint64_t last_id_ = 0;
  std::string where_;  ///< "127.0.0.1:7000", for messages
  proto::FrameReader reader_;
  proto::Welcome welcome_;
};

}  // namespace gauntlet::client
