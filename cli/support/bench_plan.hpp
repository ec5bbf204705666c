// How long `gauntlet plan` takes for a large sweep, and how much memory.
#pragma once

#include <cstdint>
#include <filesystem>

#include "core/base/json.hpp"
#include "core/base/result.hpp"

namespace gauntlet::cli {

/// Runs `gauntlet plan` as a process of its own on a sweep of about `n_cells` cells (at least 1,108) with
/// excludes, written into `folder`. Returns {"plan_cells", "plan_s", "plan_peak_mib"}. Errors: the process
/// failed, with its last words; kTimedOut after ten minutes.
[[nodiscard]] Result<Json> measure_plan(const std::filesystem::path& folder, std::int64_t n_cells);

}  // namespace gauntlet::cli
