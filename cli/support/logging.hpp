// The log of the long-running verbs, on stderr.
#pragma once

#include <string>
#include <string_view>

#include "cli/support/arguments.hpp"
#include "core/base/result.hpp"

namespace gauntlet::cli {

struct LogOptions {
  std::string level = "info";   ///< debug, info, warn, error, off
  std::string format = "text";  ///< text, json

  void add_to(Arguments& arguments);
};

/// Time, level, message, without colours; `program` is named in JSON. Errors (kInvalid): another level or
/// format.
[[nodiscard]] Status start_logging(const LogOptions& options, std::string_view program);

}  // namespace gauntlet::cli
