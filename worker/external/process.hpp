// Runs one foreign program to its end, within limits. Whatever it starts ends with it.
// Thread safety: one thread; the calling process has no other children while this runs, since those that left
// the program's process group are found as children of this process (prctl(2), PR_SET_CHILD_SUBREAPER).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/result.hpp"
#include "core/spec/external.hpp"

namespace gauntlet::external {

struct Program {
  std::vector<std::string> argv;  ///< the program is looked for in `folder` when it has a '/', else in PATH
  std::filesystem::path folder;   ///< where it runs, and all it may fill: see ExternalLimits::disk_mb
  std::vector<std::pair<std::string, std::string>> environment;  ///< set beside what this process has
  std::string venv;  ///< its bin/ comes first in PATH; "" for none
  spec::ExternalLimits limits;
  /// Gets stdout and stderr as they come, log_bytes at most.
  std::function<void(std::string_view)> on_output;
  /// Called ten times a second while it runs; the first time after a tenth. May be empty.
  std::function<void()> on_look = {};
};

/// How long it ran, when all was well. Errors: kNotFound (no such program); kTimedOut; kOutOfMemory (killed
/// by the kernel); kInvalid: another exit code than 0, a signal, more output or files than allowed. The last
/// lines it printed are part of the message.
[[nodiscard]] Result<double> run_program(const Program& program);

/// Bytes of the files below a folder, links not followed.
[[nodiscard]] std::uint64_t bytes_below(const std::filesystem::path& folder);

}  // namespace gauntlet::external
