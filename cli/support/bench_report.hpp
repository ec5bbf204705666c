// How every benchmark tells its figures.
#pragma once

#include <filesystem>
#include <string_view>

#include "core/base/json.hpp"
#include "core/base/result.hpp"

namespace gauntlet::cli {

/// {"format": 1, "bench", "machine": {…}, "figures": {…}}, the machine as seen from the work folder.
[[nodiscard]] Json bench_document(std::string_view bench, const std::filesystem::path& workdir,
                                  const Json& figures);

/// Prints that as JSON, or the machine and a line per figure. Returns the exit code 0. Errors: stdout cannot
/// be written.
[[nodiscard]] Result<int> report_figures(std::string_view bench, const std::filesystem::path& workdir,
                                         const Json& figures, bool as_json);

}  // namespace gauntlet::cli
