// Queues of allocations, as the coordinator lists them.
#pragma once

#include <cstdint>
#include <string>

#include "coordinator/client/client.hpp"
#include "core/base/json.hpp"

namespace gauntlet::cli {

/// Queue 0 is all of them. Errors: kNotFound, those of the connection.
[[nodiscard]] Result<proto::AllocListReply> request_allocations(client::Client& client, std::uint64_t queue);

[[nodiscard]] Json allocations_json(const proto::AllocListReply& reply);

/// "queue 1: slurm gpu, 4h, 2 nodes of 4 gpus; 1 of at most 8; active"
[[nodiscard]] std::string line_of(const proto::AllocQueue& queue);
/// "5  job 812  running  1 worker, 3 jobs"
[[nodiscard]] std::string line_of(const proto::Allocation& allocation);

}  // namespace gauntlet::cli
