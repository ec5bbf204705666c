// How every page begins that is made to be kept: no scripts, nothing from elsewhere, light and dark.
// Thread safety: pure functions.
#pragma once

#include <string>
#include <string_view>

namespace gauntlet::results {

/// Up to and with <body>. `style` is further CSS.
[[nodiscard]] std::string page_head(std::string_view title, std::string_view style = "");

}  // namespace gauntlet::results
