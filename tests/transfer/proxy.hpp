// A TCP relay on loopback that lets so many bytes pass in either direction, then holds the rest back until it
// may go on. Counts what passes.
#pragma once

#include <gmock/gmock.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace gauntlet::transfer {

class Proxy {
 public:
  static constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};

  explicit Proxy(std::uint16_t target) : target_(target) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ::sockaddr_in address = loopback(0);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<::sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_, 64), 0);
    ::socklen_t size = sizeof address;
    ::getsockname(listener_, reinterpret_cast<::sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    accepting_ = std::thread([this] { accept_all(); });
  }
  ~Proxy() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    may_go_on_.notify_all();
    accepting_.join();
    for (std::thread& relay : relays_) relay.join();
    ::close(listener_);
  }
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// From now on; bytes of both directions together.
  void limit(std::uint64_t n_bytes) {
    {
      const std::lock_guard lock(mutex_);
      limit_ = n_bytes == kNoLimit ? kNoLimit : passed_ + n_bytes;
    }
    may_go_on_.notify_all();
  }
  void set_target(std::uint16_t port) { target_ = port; }
  [[nodiscard]] std::uint64_t passed() const {
    const std::lock_guard lock(mutex_);
    return passed_;
  }
  /// Whether bytes wait for a higher limit.
  [[nodiscard]] bool is_full() const {
    const std::lock_guard lock(mutex_);
    return n_waiting_ > 0;
  }

 private:
  static ::sockaddr_in loopback(std::uint16_t port) {
    ::sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
  }

  [[nodiscard]] bool is_ending() const {
    const std::lock_guard lock(mutex_);
    return ending_;
  }

  void accept_all() {
    while (!is_ending()) {
      ::pollfd waited{.fd = listener_, .events = POLLIN, .revents = 0};
      if (::poll(&waited, 1, 20) <= 0) continue;
      const int near = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      const int far = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      const ::sockaddr_in address = loopback(target_);
      if (::connect(far, reinterpret_cast<const ::sockaddr*>(&address), sizeof address) != 0) {
        ::close(near);
        ::close(far);
        continue;
      }
      relays_.emplace_back([this, near, far] {
        std::thread back([&] { relay(far, near); });
        relay(near, far);
        back.join();
        ::close(near);
        ::close(far);
      });
    }
  }

  void relay(int from, int to) {
    std::array<char, 16384> block{};
    while (!is_ending()) {
      ::pollfd waited{.fd = from, .events = POLLIN, .revents = 0};
      if (::poll(&waited, 1, 20) == 0) continue;
      const ssize_t n_read = ::recv(from, block.data(), block.size(), 0);
      if (n_read <= 0 || !may_pass(static_cast<std::uint64_t>(n_read))) break;
      ssize_t n_sent = 0;
      while (n_sent < n_read) {
        const ssize_t n_more =
            ::send(to, block.data() + n_sent, static_cast<std::size_t>(n_read - n_sent), MSG_NOSIGNAL);
        if (n_more <= 0) break;
        n_sent += n_more;
      }
      if (n_sent < n_read) break;
    }
    ::shutdown(from, SHUT_RDWR);
    ::shutdown(to, SHUT_RDWR);
  }

  bool may_pass(std::uint64_t n_bytes) {
    std::unique_lock lock(mutex_);
    ++n_waiting_;
    may_go_on_.wait(lock, [&] { return ending_ || limit_ == kNoLimit || passed_ + n_bytes <= limit_; });
    --n_waiting_;
    passed_ += n_bytes;
    return !ending_;
  }

  std::atomic<std::uint16_t> target_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable may_go_on_;
  std::uint64_t limit_ = kNoLimit;
  std::uint64_t passed_ = 0;
  int n_waiting_ = 0;
  bool ending_ = false;
  std::vector<std::thread> relays_;
  std::thread accepting_;
};

}  // namespace gauntlet::transfer
