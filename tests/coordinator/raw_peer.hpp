// A bare socket that says whatever a test wants.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "coordinator/client/client.hpp"

namespace gauntlet::coordinator {

/// A bare socket that says whatever a test wants.
class RawPeer {
 public:
  explicit RawPeer(const client::Endpoint& endpoint) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    ::sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(endpoint.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<const ::sockaddr*>(&address), sizeof address), 0);
    const ::timeval patience{.tv_sec = 30, .tv_usec = 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  ~RawPeer() { ::close(socket_); }
  RawPeer(const RawPeer&) = delete;
  RawPeer& operator=(const RawPeer&) = delete;

  void say(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n_sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n_sent <= 0) return;  // the coordinator hung up, which is what the tests wait for
      bytes.remove_prefix(static_cast<std::size_t>(n_sent));
    }
  }
  /// Everything until the coordinator hangs up; fails the test when it does not.
  std::string read_to_end() {
    std::string all;
    std::string buffer(1 << 16, '\0');
    for (;;) {
      const ssize_t n_read = ::recv(socket_, buffer.data(), buffer.size(), 0);
      if (n_read < 0 && errno != ECONNRESET) ADD_FAILURE() << "the coordinator keeps the connection";
      if (n_read <= 0) return all;
      all.append(buffer, 0, static_cast<std::size_t>(n_read));
    }
  }

  [[nodiscard]] int socket() const { return socket_; }

 private:
  int socket_;
};

}  // namespace gauntlet::coordinator
