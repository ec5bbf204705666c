// Identities as distinct types, so that one is never taken for another.
#pragma once

#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

#include "core/base/hash.hpp"

namespace gauntlet {

/// A number with a meaning. 0 is "none" everywhere.
template <class Tag>
struct Id {
  std::uint64_t value = 0;
  [[nodiscard]] explicit operator bool() const { return value != 0; }
  auto operator<=>(const Id&) const = default;
};

using SweepId = Id<struct SweepTag>;
using JobId = Id<struct JobTag>;          ///< row id of a job in one database; dense, small
using LeaseId = Id<struct LeaseTag>;      ///< grows with every lease ever given in one database
using WorkerId = Id<struct WorkerTag>;    ///< one agent process
using AttemptNo = Id<struct AttemptTag>;  ///< 1, 2, … per job; only grows

/// SHA-256 of a job's canonical form: what it computes, from what.
struct JobKey {
  Digest digest{};
  auto operator<=>(const JobKey&) const = default;
  [[nodiscard]] std::string hex() const { return to_hex(digest); }
  /// First 12 hexadecimal digits, for people.
  [[nodiscard]] std::string brief() const { return hex().substr(0, 12); }
};

}  // namespace gauntlet

template <class Tag>
struct std::hash<gauntlet::Id<Tag>> {
  std::size_t operator()(gauntlet::Id<Tag> id) const noexcept { return std::hash<std::uint64_t>{}(id.value); }
};

template <>
struct std::hash<gauntlet::JobKey> {
  std::size_t operator()(const gauntlet::JobKey& key) const noexcept {
    std::size_t head = 0;
    std::memcpy(&head, key.digest.data(), sizeof head);  // the digest is uniform already
    return head;
  }
};
