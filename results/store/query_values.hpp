// The values per query behind a number.
// Thread safety: functions use the caller's connection and nothing else.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/db/connection.hpp"

namespace gauntlet::results {

/// One value per query of a job's metric, in the order of the query set; empty where the metric has none.
/// Errors (kCorrupt): a blob that is no array of float32.
[[nodiscard]] Result<std::vector<float>> query_values(db::Connection& connection, std::int64_t job_id,
                                                      const std::string& metric);

}  // namespace gauntlet::results
