// Columns of text in equal widths, for terminals.
// Thread safety: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gauntlet::results {

/// Number of terminal columns of UTF-8 text, one per code point (combining marks and wide letters are not
/// told apart).
[[nodiscard]] std::size_t display_width(std::string_view text);

/// `text` filled up with spaces to `width` columns.
[[nodiscard]] std::string pad(std::string_view text, std::size_t width, bool right_aligned);

/// Line breaks, tabs and other control characters as visible escapes ("\n", "\x1b"), so that a value can
/// neither break a table nor steer a terminal.
[[nodiscard]] std::string printable(std::string_view text);

/// A heading, a line of dashes, one line per row. Columns are two spaces apart; `right_aligned` says which go
/// right.
[[nodiscard]] std::string text_table(const std::vector<std::string>& heading,
                                     const std::vector<std::vector<std::string>>& rows,
                                     const std::vector<bool>& right_aligned);

/// A field of RFC 4180 CSV, quoted where it must be.
[[nodiscard]] std::string csv_field(std::string_view text);

}  // namespace gauntlet::results
