// What a worker is started with, completed, and how it introduces itself to a coordinator.
#pragma once

#include <chrono>
#include <optional>

#include "core/base/result.hpp"
#include "schemas/protocol.pb.h"
#include "worker/agent/agent.hpp"
#include "worker/agent/gangs.hpp"

namespace gauntlet::worker {

/// Options with every default filled in. Errors (kInvalid): the first that means nothing.
[[nodiscard]] Result<AgentOptions> complete(AgentOptions options);

/// How it starts gangs, of completed options.
[[nodiscard]] GangSettings gangs_of(const AgentOptions& options);
/// Every entry this program knows, with its version.
[[nodiscard]] std::vector<proto::EntryVersion> known_entries();

/// What it offers and knows, without its id and the leases in hand. `lifetime_left`: nullopt is without end.
[[nodiscard]] proto::WorkerJoin introduction(const AgentOptions& options, bool has_torch,
                                             std::optional<std::chrono::seconds> lifetime_left);

}  // namespace gauntlet::worker
