// JSON values and their canonical text.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace gauntlet {

using Json = nlohmann::json;

/// Canonical text: keys sorted by bytes, no spaces, UTF-8, numbers in their shortest form that reads back to
/// the same value. Equal values give equal bytes. Errors: NaN or infinity anywhere, text that is not UTF-8.
[[nodiscard]] Result<std::string> canonical_json(const Json& value);

/// Reads one JSON document. Errors (kInvalid) name the source, line and column. Nesting is limited to 200
/// levels.
[[nodiscard]] Result<Json> parse_json(std::string_view text, std::string_view source);

}  // namespace gauntlet

// Compiled once, in json.cpp: these templates were a tenth of every file's time.
extern template class nlohmann::basic_json<>;
extern template class std::vector<nlohmann::json>;
extern template class nlohmann::detail::serializer<nlohmann::json>;
extern template class nlohmann::detail::parser<
    nlohmann::json, nlohmann::detail::iterator_input_adapter<std::string::const_iterator>>;
extern template class nlohmann::detail::lexer<
    nlohmann::json, nlohmann::detail::iterator_input_adapter<std::string::const_iterator>>;
extern template class nlohmann::detail::json_sax_dom_parser<nlohmann::json>;
extern template class nlohmann::detail::json_sax_dom_callback_parser<nlohmann::json>;
