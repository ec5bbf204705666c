// Tables as text. The same table gives the same bytes.
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "results/table/pivot.hpp"

namespace gauntlet::results {

enum class Format : std::uint8_t {
  kMarkdown,  ///< padded, so that it reads well unrendered too
  kCsv,       ///< one line per entry: axes of its row, of its column, mean, std, n, expected, state, mark
  kJson,      ///< {"format":1,…}
  kText,      ///< for terminals: best marked by *, second by _
  kTerminal,  ///< as kText, with bold and underlined instead of the marks (ANSI escapes)
  kLatex,     ///< a table environment; needs booktabs and multirow
  kHtml,      ///< one page of its own: no script, nothing from elsewhere
};

/// "text", "md", "latex", "html", "csv", "json".
[[nodiscard]] const std::vector<std::string>& format_names();

/// One of format_names(). Errors (kInvalid): names the known ones.
[[nodiscard]] Result<Format> format_from(std::string_view name);

/// Ends with a line break.
[[nodiscard]] std::string render(const Table& table, Format format);

/// The `<table>` of the HTML page alone, for pages that show several.
[[nodiscard]] std::string html_table(const Table& table);
/// The page's style sheet, which html_table expects.
[[nodiscard]] std::string_view html_style();

/// What a mean is multiplied by where it is shown: 100 for ratios in percent.
[[nodiscard]] double display_factor(const Table& table);
/// " in percent", " in s", "".
[[nodiscard]] std::string unit_text(const Table& table);

/// Rows in the order they are shown: references first.
[[nodiscard]] std::vector<std::size_t> shown_rows(const Table& table);

/// "61.3 ± 1.1", "61.3 ± 1.1 (2)", "–", "": one entry without its mark. `with_n` adds the count.
[[nodiscard]] std::string entry_text(const Table& table, const TableEntry& entry, bool with_n);

}  // namespace gauntlet::results
