// The log of the long-running verbs, on stderr.
#pragma once

#include <string>

#include "core/base/result.hpp"

namespace gauntlet::cli {

/// Time, level, message; no colours. Levels: debug, info, warn, error. Errors (kInvalid): another level.
[[nodiscard]] Status start_logging(const std::string& level);

}  // namespace gauntlet::cli
