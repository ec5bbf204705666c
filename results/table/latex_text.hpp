// Any text as LaTeX that prints it.
#pragma once

#include <string>
#include <string_view>

namespace gauntlet::results {

/// Specials escaped, signs of tables (±, –, →, Δ, †, ✓, ✗, …) as commands, control characters as visible
/// escapes. Letters up to U+017F stay, which pdfLaTeX knows; any other letter is written as U+XXXX, since it
/// would stop pdfLaTeX. Bytes that are no UTF-8 become U+FFFD.
[[nodiscard]] std::string latex_text(std::string_view text);

}  // namespace gauntlet::results
