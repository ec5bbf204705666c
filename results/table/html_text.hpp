// Any text as HTML that shows it, in elements and in attributes.
#pragma once

#include <string>
#include <string_view>

namespace gauntlet::results {

/// Specials escaped, control characters (line ends too) as visible escapes.
[[nodiscard]] std::string html_text(std::string_view text);
/// The same, but line ends stay: for <pre>.
[[nodiscard]] std::string html_lines(std::string_view text);

}  // namespace gauntlet::results
