// What the verbs of `gauntlet alloc` that do one thing to a queue share: its number, and where the
// coordinator is.
#pragma once

#include <cstdint>

#include "cli/verb.hpp"
#include "coordinator/client/client.hpp"

namespace gauntlet::cli {

/// Declares both; the action connects and calls `act` with the queue's number. Errors: those of connecting.
[[nodiscard]] Action declare_queue_verb(Arguments& arguments,
                                        Status (*act)(client::Client& client, std::uint64_t queue));

}  // namespace gauntlet::cli
