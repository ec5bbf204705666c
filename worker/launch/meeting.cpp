#include "worker/launch/meeting.hpp"

#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/ip/v6_only.hpp>
#include <filesystem>

#include "core/base/files.hpp"

namespace gauntlet::worker {
namespace {

using boost::asio::ip::tcp;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxIdBytes = 256;
constexpr int kRetryMs = 200;

/// One attempt, bounded by the deadline; the error of the last address otherwise.
boost::system::error_code connect_once(boost::asio::io_context& context, tcp::socket& socket,
                                       const tcp::resolver::results_type& addresses,
                                       Clock::time_point deadline) {
  boost::system::error_code last = boost::asio::error::host_not_found;
  for (const auto& entry : addresses) {
    boost::system::error_code ignored;
    socket.close(ignored);
    socket = tcp::socket(context);
    bool done = false;
    socket.async_connect(entry.endpoint(), [&](const boost::system::error_code& error) {
      last = error;
      done = true;
    });
    context.restart();
    context.run_until(deadline);
    if (!done) {
      socket.close(ignored);
      context.restart();
      context.run();  // the handler says that it was cancelled
      return boost::asio::error::timed_out;
    }
    if (!last) return {};
  }
  return last;
}

std::string loopback_story(const Meeting& meeting, const std::string& address) {
  return fmt::format(
      "{} on {} cannot reach the gang's worker: its address {} resolves to {} here, which is {} itself and "
      "not "
      "the worker's machine; give that worker an address that other machines reach (`gauntlet worker "
      "--address`), or correct /etc/hosts",
      meeting.who, own_host_name(), meeting.host, address, own_host_name());
}

}  // namespace

std::string node_identity() {
  const Result<std::string> boot = read_file("/proc/sys/kernel/random/boot_id", kMaxIdBytes);
  std::error_code error;
  const std::filesystem::path space = std::filesystem::read_symlink("/proc/self/ns/net", error);
  std::string id = boot ? boot->substr(0, boot->find('\n')) : own_host_name();
  return id + "/" + space.string();
}

std::string own_host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "?";
}

Result<tcp::socket> meet(boost::asio::io_context& context, const Meeting& meeting) {
  const Clock::time_point start = Clock::now();
  const Clock::time_point deadline = start + meeting.patience;
  const bool elsewhere = meeting.node != node_identity();
  std::string reason;
  do {
    boost::system::error_code error;
    const auto addresses = tcp::resolver(context).resolve(meeting.host, meeting.port, error);
    if (!error) {
      for (const auto& entry : addresses) {
        if (elsewhere && entry.endpoint().address().is_loopback())
          return fail(ErrorCode::kUnreachable, "{}",
                      loopback_story(meeting, entry.endpoint().address().to_string()));
      }
      tcp::socket socket(context);
      error = connect_once(context, socket, addresses, deadline);
      if (!error) {
        watch_peer(socket);
        return socket;
      }
    }
    reason = error.message();
    ::poll(nullptr, 0, kRetryMs);
  } while (Clock::now() < deadline);
  const double tried_s = std::chrono::duration<double>(Clock::now() - start).count();
  return fail(ErrorCode::kUnreachable,
              "{} on {} could not reach the gang's worker at {}:{}, tried for {:.0f} s: {}", meeting.who,
              own_host_name(), meeting.host, meeting.port, tried_s, reason);
}

boost::asio::ip::address plain(const boost::asio::ip::address& address) {
  if (!address.is_v6() || !address.to_v6().is_v4_mapped()) return address;
  return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address.to_v6());
}

Result<tcp::acceptor> listen_anywhere(boost::asio::io_context& context, std::string_view purpose) {
  boost::system::error_code error;
  tcp::acceptor acceptor(context);
  acceptor.open(tcp::v6(), error);
  if (!error) acceptor.set_option(boost::asio::ip::v6_only(false), error);
  if (!error) acceptor.bind({tcp::v6(), 0}, error);
  if (error) {  // a machine without IPv6
    boost::system::error_code ignored;
    acceptor.close(ignored);
    error = {};
    acceptor.open(tcp::v4(), error);
    if (!error) acceptor.bind({tcp::v4(), 0}, error);
  }
  if (!error) acceptor.listen(boost::asio::socket_base::max_listen_connections, error);
  if (error) return fail(ErrorCode::kIo, "cannot listen for {}: {}", purpose, error.message());
  return acceptor;
}

void watch_peer(tcp::socket& socket) {
  boost::system::error_code ignored;  // without these it only takes longer
  socket.set_option(boost::asio::socket_base::keep_alive(true), ignored);
  socket.set_option(tcp::no_delay(true), ignored);
  const int fd = socket.native_handle();
  const auto set = [fd](int option, int value) {
    static_cast<void>(::setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value));
  };
  set(TCP_KEEPIDLE, 3);
  set(TCP_KEEPINTVL, 2);
  set(TCP_KEEPCNT, 3);
  set(TCP_USER_TIMEOUT, 10'000);
}

}  // namespace gauntlet::worker
