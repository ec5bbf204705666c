// MATLAB's char arrays as strings.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/io/container.hpp"

namespace gauntlet::io::detail {

/// `units`: UTF-16 code units or code points, column-major, as many as `size` (MATLAB's, rows first) says.
/// The last side runs along a string, the first over items, one between over the strings of an item. Errors
/// (kInvalid): more than three sides, more than kMaxTexts strings.
[[nodiscard]] Result<Texts> strings_of_chars(std::span<const char32_t> units,
                                             std::span<const std::int64_t> size);

/// Blanks and NULs at the end are cut.
[[nodiscard]] std::string trimmed_end(std::string text);

}  // namespace gauntlet::io::detail
