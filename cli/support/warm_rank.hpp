// How long a gauntlet-rank takes to begin its first job, and the next ones once it is warm.
#pragma once

#include <filesystem>

#include "core/base/json.hpp"
#include "core/base/result.hpp"

namespace gauntlet::cli {

/// {"rank_cold_start_ms": from starting the program to its being ready for a job, "rank_warm_start_ms": from
/// telling a ready one its next job to the job's first word, a median over 20 jobs}. The jobs lack their
/// input, so they end at once; their logs go into `folder`. Errors: kNotFound without the program; kIo.
[[nodiscard]] Result<Json> measure_warm_rank(const std::filesystem::path& folder);

}  // namespace gauntlet::cli
