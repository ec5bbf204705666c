// By which name a coordinator is reached that left its address in a work folder several machines share.
#pragma once

#include <string>

#include "core/base/json.hpp"

namespace gauntlet::proto {

/// This machine's host name, as the others know it.
[[nodiscard]] std::string machine_name();

/// The host that coordinator.json says; where it listens on all addresses, its machine's name, unless that is
/// this machine. `address` must have a text "host".
[[nodiscard]] std::string coordinator_host(const Json& address);

}  // namespace gauntlet::proto
