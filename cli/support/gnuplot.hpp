// Gnuplot as a child process: script in, picture out; no shell, no display, no file.
// Thread safety: one thread.
#pragma once

#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace gauntlet::cli {

/// Runs gnuplot on a script that writes to its standard output and returns what it wrote. Looked up in PATH,
/// or GAUNTLET_GNUPLOT. Errors: kNotFound (not installed: says the line that installs it), kInternal (gnuplot
/// refused the script: its words), kIo.
[[nodiscard]] Result<std::string> run_gnuplot(std::string_view script);

}  // namespace gauntlet::cli
