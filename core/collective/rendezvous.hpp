// Where the ranks of a gang meet: through a file on one machine, over TCP on several.
// Thread safety: plain functions.
#pragma once

#include <torch/csrc/distributed/c10d/Store.hpp>

#include <cstdint>
#include <optional>
#include <string>

#include "core/base/result.hpp"

namespace gauntlet::collective {

struct Rendezvous {
  std::string file;  ///< "" when they meet over TCP
  std::string host;
  std::uint16_t port = 0;
  std::string interface = "127.0.0.1";  ///< this rank's own address, for the collectives
  std::optional<int> listening = {};    ///< of rank 0: a socket bound to the port, which the store takes over
};

/// Reads a path, or "tcp://HOST:PORT?interface=ADDRESS&fd=NUMBER" (both optional). Errors (kInvalid) show it.
[[nodiscard]] Result<Rendezvous> parse_rendezvous(const std::string& text);

/// Opens the store all ranks share; over TCP, rank 0 serves it. Errors name the address, the host it was
/// tried from and for how long: kTimedOut, kCollective; kUnreachable for an address that is loopback here,
/// while rank 0 is on another machine.
[[nodiscard]] Result<c10::intrusive_ptr<c10d::Store>> open_store(const Rendezvous& rendezvous,
                                                                 std::int64_t rank, std::int64_t world_size,
                                                                 int timeout_s);

}  // namespace gauntlet::collective
