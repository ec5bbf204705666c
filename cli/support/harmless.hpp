#pragma once

#include <string>
#include <string_view>

namespace gauntlet::cli {

/// For terminals: control characters but line breaks and tabs as \xNN, so that a file's name moves no cursor;
/// every byte outside printable ASCII where the text is not UTF-8.
[[nodiscard]] std::string harmless(std::string_view text);

}  // namespace gauntlet::cli
