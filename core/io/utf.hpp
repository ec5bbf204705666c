// UTF-8 as files have it: checked, decoded, made.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gauntlet::io {

/// Code points; nothing when the bytes are not UTF-8 (overlong forms and surrogates are not).
[[nodiscard]] std::optional<std::vector<char32_t>> decode_utf8(std::string_view text);
[[nodiscard]] bool is_utf8(std::string_view text);
/// Appends one code point; what is none is appended as U+FFFD.
void append_utf8(std::string& text, char32_t point);
/// For messages: every byte outside printable ASCII as \xNN, unless all of it is UTF-8.
[[nodiscard]] std::string printable(std::string_view text);
/// For terminals: control characters but line breaks and tabs as \xNN, so that foreign text moves no cursor;
/// every byte outside printable ASCII where the text is not UTF-8.
[[nodiscard]] std::string harmless(std::string_view text);

}  // namespace gauntlet::io
