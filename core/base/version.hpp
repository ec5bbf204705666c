// Which Gauntlet this is: stored with every result.
#pragma once

#include <string_view>

namespace gauntlet {

/// "0.1.0"
[[nodiscard]] std::string_view version();
/// Git revision the program was built from, with "+changes" for a tree with uncommitted changes; "unknown"
/// outside git.
[[nodiscard]] std::string_view revision();

}  // namespace gauntlet
