// Small texts of HTTP: targets and cookies. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace gauntlet::coordinator {

/// "a%20b+c" → "a b c"; nothing when a % is not followed by two hexadecimal digits.
[[nodiscard]] std::optional<std::string> url_decoded(std::string_view text);

/// What follows the "?" of a target, decoded; nothing when some of it cannot be.
[[nodiscard]] std::optional<std::map<std::string, std::string>> query_of(std::string_view target);

/// A cookie's value in a Cookie header; "" for none.
[[nodiscard]] std::string_view cookie_in(std::string_view header, std::string_view name);

}  // namespace gauntlet::coordinator
