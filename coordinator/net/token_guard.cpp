#include "coordinator/net/token_guard.hpp"

#include <algorithm>

#include "core/base/hash.hpp"

namespace gauntlet::coordinator {
namespace {

/// Whoever has one IPv6 address has its /64.
boost::asio::ip::address network_of(const boost::asio::ip::address& address) {
  if (!address.is_v6()) return address;
  if (address.to_v6().is_v4_mapped()) {
    return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address.to_v6());
  }
  auto bytes = address.to_v6().to_bytes();
  std::fill(bytes.begin() + 8, bytes.end(), std::uint8_t{0});
  return boost::asio::ip::address_v6(bytes);
}

}  // namespace

Result<Milliseconds> TokenGuard::begin(const boost::asio::ip::address& address, SteadyTime now) {
  const auto found = records_.find(network_of(address));
  if (found == records_.end()) return Milliseconds(0);
  Record& record = found->second;
  if (now - record.last_failure > limits_.window) record.n_failures = 0;
  if (record.n_failures >= limits_.free_failures && record.n_waiting >= limits_.max_waiting) {
    return fail(ErrorCode::kUnreachable,
                "{} wrong tokens came from {}, and {} connections of it wait; try later", record.n_failures,
                address.to_string(), record.n_waiting);
  }
  ++record.n_waiting;
  if (record.n_failures < limits_.free_failures) return Milliseconds(0);
  const std::uint32_t doublings = std::min<std::uint32_t>(record.n_failures - limits_.free_failures, 20);
  return std::min(limits_.first_pause * (std::int64_t{1} << doublings), limits_.longest_pause);
}

void TokenGuard::end(const boost::asio::ip::address& address, bool right, SteadyTime now) {
  const auto network = network_of(address);
  const auto found = records_.find(network);
  if (found != records_.end() && found->second.n_waiting > 0) --found->second.n_waiting;
  if (right) return;
  Record& record = record_of(network, now);
  ++record.n_failures;
  record.last_failure = now;
}

TokenGuard::Record& TokenGuard::record_of(const boost::asio::ip::address& network, SteadyTime now) {
  const auto found = records_.find(network);
  if (found != records_.end()) return found->second;
  if (records_.size() >= limits_.max_addresses) forget_old(now);
  return records_[network];
}

void TokenGuard::forget_old(SteadyTime now) {
  std::erase_if(records_, [&](const auto& entry) {
    return entry.second.n_waiting == 0 && now - entry.second.last_failure > limits_.window;
  });
  if (records_.size() < limits_.max_addresses) return;
  records_.erase(std::min_element(records_.begin(), records_.end(), [](const auto& one, const auto& other) {
    return one.second.n_failures < other.second.n_failures;
  }));
}

bool same_secret(std::string_view one, std::string_view other) {
  const Digest first = sha256(one);
  const Digest second = sha256(other);
  unsigned difference = 0;
  for (std::size_t byte = 0; byte < first.size(); ++byte)
    difference |= static_cast<unsigned>(first[byte] ^ second[byte]);
  return difference == 0;
}

}  // namespace gauntlet::coordinator
