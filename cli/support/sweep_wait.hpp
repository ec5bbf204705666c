// Waiting for a sweep at a coordinator that somebody else looks after.
#pragma once

#include <functional>
#include <optional>

#include "cli/support/progress.hpp"
#include "coordinator/client/client.hpp"

namespace gauntlet::cli {

/// The sweep's part of a status. Errors (kNotFound): the coordinator does not know it.
[[nodiscard]] Result<proto::SweepStatus> sweep_in(const proto::StatusReply& status, std::uint64_t sweep_id);

/// Whether nothing of it will run any more.
[[nodiscard]] bool is_over(const proto::SweepStatus& sweep);

/// What a sweep that is over means for the exit code: nothing, or the error (kJobsFailed) that counts its
/// failures.
[[nodiscard]] Status verdict_of(const proto::SweepStatus& sweep);
/// The same from counts of a part of the sweep's jobs.
[[nodiscard]] Status verdict_of(const std::string& sweep, const JobCounts& counts);

/// Polls until the sweep is over and shows its progress meanwhile. Errors: kTimedOut, kInterrupted (Ctrl-C),
/// those of the connection.
[[nodiscard]] Result<proto::StatusReply> wait_for_sweep(client::Client& client, std::uint64_t sweep_id,
                                                        std::optional<Milliseconds> limit,
                                                        ProgressView& view);

}  // namespace gauntlet::cli
