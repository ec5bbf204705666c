// Where words go: data to stdout, everything else to stderr.
// Thread safety: one thread.
#pragma once

#include <string_view>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/result.hpp"

namespace gauntlet::cli {

/// Data. A reader that went away (EPIPE) is no error: the rest is dropped. Errors: kNoSpace, kIo.
[[nodiscard]] Status print(std::string_view text);
/// One document, indented, with a line break.
[[nodiscard]] Status print_json(const Json& document);
[[nodiscard]] Status flush_output();

/// Progress and remarks, on stderr; failures to write are ignored.
void note(std::string_view text);
/// "gauntlet: <message>" on stderr.
void complain(const Error& error);

/// Whether stderr is a terminal that may be redrawn.
[[nodiscard]] bool can_animate();
/// Whether stdout is a terminal and NO_COLOR is not set.
[[nodiscard]] bool can_decorate_output();
/// Columns of the terminal on stderr; 80 when unknown.
[[nodiscard]] std::size_t terminal_width();

}  // namespace gauntlet::cli
