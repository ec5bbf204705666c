// `gauntlet verify --robustness`: what a sweep's numbers are worth as evidence of robustness.
#pragma once

#include <string>

#include "cli/support/options.hpp"
#include "core/base/result.hpp"

namespace gauntlet::cli {

struct RobustnessOptions {
  FolderOptions folder;
  std::string sweep;       ///< its file, or the name of one that was submitted
  bool run = false;        ///< run what the checks need first
  bool companion = false;  ///< only print the sweep that they need
  bool quick = false;      ///< searches take few queries
  std::int64_t cpus = 0;   ///< of the run; 0 = all
  bool json = false;
};

/// Exit code: 0, or 3 when a check fails. Verdicts are stored, by the coordinator if one holds the work
/// folder; where that is impossible stderr says so.
[[nodiscard]] Result<int> verify_robustness(const RobustnessOptions& options);

}  // namespace gauntlet::cli
