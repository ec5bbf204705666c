// Verdicts of robustness checks on their way to a coordinator.
#pragma once

#include <span>
#include <string>

#include "coordinator/client/client.hpp"
#include "core/base/result.hpp"
#include "results/store/check_rows.hpp"

namespace gauntlet::cli {

/// Replaces the rows of a sweep in the coordinator's database, all at once; they are durable when it returns.
/// In as many messages as they need. Errors: those of results::write_checks and of Client::request.
[[nodiscard]] Status send_checks(client::Client& client, const std::string& sweep,
                                 std::span<const results::CheckRow> rows);

}  // namespace gauntlet::cli
