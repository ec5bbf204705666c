// How much of the machine's own rate of starting processes is left for jobs that are processes.
#pragma once

#include <cstdint>
#include <filesystem>

#include "core/base/json.hpp"
#include "core/base/result.hpp"

namespace gauntlet::cli {

/// Runs `n_jobs` command jobs (`true`) by a coordinator and a worker of its own, and as many processes by
/// posix_spawn(3) alone, half of them before and half after, both on all processors, three times:
/// "process_jobs_per_s", "spawns_per_s", and "process_ratio_percent" of the one to the other, each the
/// median; and what bench_disk.hpp says of "process". Errors: those of Served::start, kTimedOut, kJobsFailed.
[[nodiscard]] Result<Json> measure_processes(const std::filesystem::path& folder, std::int64_t n_jobs);

}  // namespace gauntlet::cli
