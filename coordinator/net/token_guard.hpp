// Slows down who guesses tokens: wrong ones are counted per address, and further connections of that address
// are looked at ever later. The right token is never refused for what others of its address did, apart from
// one case: too many of them are waiting already. Bounded memory. Thread safety: one thread.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string_view>

#include "coordinator/net/token_limits.hpp"
#include "core/base/clock.hpp"
#include "core/base/result.hpp"

namespace gauntlet::coordinator {

/// Whether two secrets are equal, in a time that tells nothing but their lengths.
[[nodiscard]] bool same_secret(std::string_view one, std::string_view other);

class TokenGuard {
 public:
  explicit TokenGuard(const TokenLimits& limits) : limits_(limits) {}

  /// How long the Hello of this address has to wait; every call that succeeded is followed by one of end().
  /// Errors (kUnreachable, so that an honest worker tries again): too many wait already.
  [[nodiscard]] Result<Milliseconds> begin(const boost::asio::ip::address& address, SteadyTime now);
  void end(const boost::asio::ip::address& address, bool right, SteadyTime now);

  [[nodiscard]] std::size_t n_addresses() const { return records_.size(); }

 private:
  struct Record {
    std::uint32_t n_failures = 0;
    std::uint32_t n_waiting = 0;
    SteadyTime last_failure;
  };
  using Records = std::map<boost::asio::ip::address, Record>;

  Record& record_of(const boost::asio::ip::address& network, SteadyTime now);
  void forget_old(SteadyTime now);

  TokenLimits limits_;
  Records records_;  ///< of addresses with wrong tokens; IPv6: of their /64 networks
};

}  // namespace gauntlet::coordinator
