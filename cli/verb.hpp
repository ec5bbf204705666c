// A verb of the command line. One more verb = one file `<stem>.cpp` in this folder that ends in
// `constinit const Verb <stem>_verb{…};`, and one line in verbs.def.
#pragma once

#include <functional>
#include <span>
#include <string_view>

#include "cli/support/arguments.hpp"
#include "core/base/result.hpp"

namespace gauntlet::cli {

/// Runs the parsed command; returns the process exit code.
using Action = std::function<Result<int>()>;

struct Verb {
  std::string_view name;      ///< as typed: "run", "data prepare"
  std::string_view summary;   ///< one line
  std::string_view examples;  ///< lines of `gauntlet …`, shown first in --help
  /// Declares the options and returns what runs once they are parsed.
  Action (*declare)(Arguments& arguments);
  bool hidden = false;  ///< not listed: for other processes of ours
};

/// Every verb, in the order of verbs.def.
[[nodiscard]] std::span<const Verb* const> verbs();

}  // namespace gauntlet::cli
