// A plain HTTP client: a socket that says what it is told and reads until the answer is whole.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>

namespace gauntlet::coordinator {

struct HttpAnswer {
  std::string head;
  std::string body;
};

/// A connection that says what it is told and reads until the answer is whole.
class HttpConnection {
 public:
  explicit HttpConnection(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;
  ~HttpConnection() { ::close(socket_); }

  void say(const std::string& text) const {
    EXPECT_EQ(::send(socket_, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  /// `with_body`: as many bytes as Content-Length says.
  HttpAnswer hear(bool with_body = true) {
    std::size_t end = 0;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!more()) return {buffer_, ""};
    }
    HttpAnswer answer{buffer_.substr(0, end + 2), ""};
    const std::size_t length_at = answer.head.find("Content-Length: ");
    EXPECT_NE(length_at, std::string::npos) << answer.head;
    const std::size_t n_bytes =
        with_body && length_at != std::string::npos ? std::stoul(answer.head.substr(length_at + 16)) : 0;
    while (buffer_.size() < end + 4 + n_bytes && more()) {
    }
    answer.body = buffer_.substr(end + 4, n_bytes);
    buffer_.erase(0, end + 4 + n_bytes);
    return answer;
  }
  /// What has come so far, once it holds `text`; or all of it when the peer closes first.
  std::string hear_until(const std::string& text) {
    while (buffer_.find(text) == std::string::npos && more()) {
    }
    return buffer_;
  }
  [[nodiscard]] bool is_closed() { return buffer_.empty() && !more(); }

 private:
  bool more() {
    std::string block(65536, '\0');
    const ssize_t n_read = ::recv(socket_, block.data(), block.size(), 0);
    if (n_read > 0) buffer_.append(block, 0, static_cast<std::size_t>(n_read));
    return n_read > 0;
  }

  int socket_;
  std::string buffer_;
};

}  // namespace gauntlet::coordinator
