// Measurements that need torch: gauntlet-rank makes them, in a process of its own.
#pragma once

#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/result.hpp"

namespace gauntlet::cli {

/// Runs gauntlet-rank with these arguments; the object it prints as its last line. Errors: kNotFound without
/// the program; what it said when it failed.
[[nodiscard]] Result<Json> figures_of_rank(const std::vector<std::string>& arguments);

}  // namespace gauntlet::cli
