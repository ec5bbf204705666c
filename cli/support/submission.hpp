// A sweep's way into a coordinator: begin, chunks, commit; all or nothing.
#pragma once

#include "cli/support/sweep_file.hpp"
#include "coordinator/client/client.hpp"

namespace gauntlet::cli {

/// Errors: those of the connection and of the coordinator; kInvalid for a job that has no canonical form.
[[nodiscard]] Result<proto::SubmitReply> submit_sweep(client::Client& client, const LoadedSweep& sweep,
                                                      int priority);

}  // namespace gauntlet::cli
