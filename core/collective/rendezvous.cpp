#include "core/collective/rendezvous.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>
#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <array>
#include <charconv>
#include <chrono>

namespace gauntlet::collective {
namespace {

constexpr std::string_view kScheme = "tcp://";

std::string own_host() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "?";
}

template <class Number>
bool read_number(std::string_view text, Number& number) {
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && stop == text.data() + text.size() && !text.empty();
}

bool read_option(std::string_view option, Rendezvous& rendezvous) {
  const std::size_t equals = option.find('=');
  if (equals == std::string_view::npos) return false;
  const std::string_view name = option.substr(0, equals);
  const std::string_view value = option.substr(equals + 1);
  if (name == "interface") {
    rendezvous.interface = value;
    return !value.empty();
  }
  return name == "fd" && read_number(value, rendezvous.listening.emplace(-1)) && *rendezvous.listening >= 0;
}

/// Splits HOST:PORT?OPTION&OPTION.
bool read_address(std::string_view text, Rendezvous& rendezvous) {
  const std::size_t question = text.find('?');
  const std::string_view address = text.substr(0, question);
  const std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  rendezvous.host = address.substr(0, colon);
  if (!read_number(address.substr(colon + 1), rendezvous.port)) return false;
  std::string_view rest = question == std::string_view::npos ? std::string_view() : text.substr(question + 1);
  while (!rest.empty()) {
    const std::size_t end = rest.find('&');
    if (!read_option(rest.substr(0, end), rendezvous)) return false;
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
  return true;
}

/// The first address of a name if that is loopback; else "".
std::string loopback_of(const std::string& host) {
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), nullptr, nullptr, &found) != 0 || found == nullptr) return "";
  std::array<char, INET6_ADDRSTRLEN> text{};
  bool is_loopback = false;
  if (found->ai_family == AF_INET) {
    const auto& address = reinterpret_cast<const sockaddr_in*>(found->ai_addr)->sin_addr;
    is_loopback = (ntohl(address.s_addr) >> 24) == 127;
    ::inet_ntop(AF_INET, &address, text.data(), text.size());
  } else if (found->ai_family == AF_INET6) {
    const auto& address = reinterpret_cast<const sockaddr_in6*>(found->ai_addr)->sin6_addr;
    is_loopback = IN6_IS_ADDR_LOOPBACK(&address);
    ::inet_ntop(AF_INET6, &address, text.data(), text.size());
  }
  ::freeaddrinfo(found);
  return is_loopback ? text.data() : "";
}

c10::intrusive_ptr<c10d::Store> connect(const Rendezvous& rendezvous, std::int64_t rank,
                                        std::int64_t world_size, std::chrono::milliseconds timeout) {
  if (!rendezvous.file.empty()) {
    auto store = c10::make_intrusive<c10d::FileStore>(rendezvous.file, static_cast<int>(world_size));
    store->setTimeout(timeout);
    return store;
  }
  c10d::TCPStoreOptions options;
  options.port = rendezvous.port;
  options.isServer = rank == 0;
  options.numWorkers = static_cast<std::size_t>(world_size);
  options.timeout = timeout;
  if (rank == 0) options.masterListenFd = rendezvous.listening;
  return c10::make_intrusive<c10d::TCPStore>(rendezvous.host, options);
}

}  // namespace

Result<Rendezvous> parse_rendezvous(const std::string& text) {
  Rendezvous rendezvous;
  if (!text.starts_with(kScheme)) {
    rendezvous.file = text;
    if (!text.empty()) return rendezvous;
  } else if (read_address(std::string_view(text).substr(kScheme.size()), rendezvous)) {
    return rendezvous;
  }
  return fail(ErrorCode::kInvalid,
              "'{}' is no rendezvous; allowed are a path and tcp://HOST:PORT?interface=ADDRESS&fd=NUMBER",
              text);
}

Result<c10::intrusive_ptr<c10d::Store>> open_store(const Rendezvous& rendezvous, std::int64_t rank,
                                                   std::int64_t world_size, int timeout_s) {
  const std::string where =
      rendezvous.file.empty() ? fmt::format("{}:{}", rendezvous.host, rendezvous.port) : rendezvous.file;
  if (rendezvous.file.empty() && rank != 0 && loopback_of(rendezvous.interface).empty()) {
    const std::string loopback = loopback_of(rendezvous.host);
    if (!loopback.empty()) {
      return fail(
          ErrorCode::kUnreachable,
          "rank {} of {} on {}: the rendezvous {} resolves to {} here, which is {} itself and not the "
          "machine of rank 0; its host name must mean the same on all machines of a gang",
          rank, world_size, own_host(), where, loopback, own_host());
    }
  }
  const auto start = std::chrono::steady_clock::now();
  const auto refuse = [&](std::string_view reason) {
    const double tried_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const bool late =
        reason.find("imed out") != std::string_view::npos || reason.find("imeout") != std::string_view::npos;
    return fail(late ? ErrorCode::kTimedOut : ErrorCode::kCollective,
                "rank {} of {} on {} could not reach the rendezvous {}, tried for {:.0f} s: {}", rank,
                world_size, own_host(), where, tried_s, reason);
  };
  // A store throws on every refusal, a rank that does not come among them; nothing of ours runs in between.
  try {
    return connect(rendezvous, rank, world_size, std::chrono::seconds(timeout_s));
  } catch (const c10::Error& error) {
    return refuse(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return refuse(error.what());
  }
}

}  // namespace gauntlet::collective
