// Which items of the data set a job is about.
#pragma once

#include <cstdint>
#include <vector>

#include "core/run/job_run.hpp"

namespace gauntlet::run {

/// Rows of a part, ascending: of the queries those that the config's `on_queries` keeps, of a craft job's
/// retrieval items those that its `database_fraction` attacks, else the first `limit` where that is above 0.
/// The job has an input "data".
[[nodiscard]] std::vector<std::int64_t> chosen_rows(const JobRun& run, const data::PreparedSet& set,
                                                    data::Part part);

}  // namespace gauntlet::run
