// Questions and the page's data, timed beside a coordinator whose agents finish no-op jobs at half the rate
// that it can reach.
#pragma once

#include <filesystem>

#include "cli/support/paper_database.hpp"
#include "core/base/json.hpp"
#include "core/base/result.hpp"

namespace gauntlet::cli {

/// Serves `workdir`, whose database `made` describes, adds a sweep of no-op jobs, measures the peak rate on a
/// part of it, and asks while the rest runs at half of that. Adds figures: noop_jobs_per_s,
/// noop_jobs_per_s_beside_queries; of queries and of the page, under load, how many, p50, p99 in ms; of the
/// page also without load, and the slowest address under load. Errors: those of the coordinator and of the
/// questions.
[[nodiscard]] Status measure_under_load(const std::filesystem::path& workdir, const PaperDatabase& made,
                                        bool quick, Json& figures);

/// Milliseconds of one of the questions that people and dashboards ask over and over, from opening the
/// database to its text. Which one follows from `at`.
[[nodiscard]] Result<double> time_query(const std::filesystem::path& database, const PaperDatabase& made,
                                        std::size_t at);

/// Milliseconds of processor time of this thread so far.
[[nodiscard]] double thread_cpu_ms();

}  // namespace gauntlet::cli
