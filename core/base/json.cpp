#include "core/base/json.hpp"

#include <cmath>

template class nlohmann::basic_json<>;
template class std::vector<nlohmann::json>;
template class nlohmann::detail::serializer<nlohmann::json>;
template class nlohmann::detail::parser<
    nlohmann::json, nlohmann::detail::iterator_input_adapter<std::string::const_iterator>>;
template class nlohmann::detail::lexer<nlohmann::json,
                                       nlohmann::detail::iterator_input_adapter<std::string::const_iterator>>;
template class nlohmann::detail::json_sax_dom_parser<nlohmann::json>;
template class nlohmann::detail::json_sax_dom_callback_parser<nlohmann::json>;

namespace gauntlet {
namespace {

bool all_finite(const Json& value) {
  if (value.is_number_float()) return std::isfinite(value.get<double>());
  if (!value.is_structured()) return true;
  for (const auto& child : value) {
    if (!all_finite(child)) return false;
  }
  return true;
}

constexpr int kMaxDepth = 200;

}  // namespace

Result<std::string> canonical_json(const Json& value) {
  if (!all_finite(value)) return fail(ErrorCode::kInvalid, "a number in a configuration is not finite");
  try {
    return value.dump();
  } catch (const Json::exception&) {  // only text that is not UTF-8 gets here
    return fail(ErrorCode::kInvalid, "a text in a configuration is not valid UTF-8");
  }
}

Result<Json> parse_json(std::string_view text, std::string_view source) {
  bool too_deep = false;
  const auto limit_depth = [&](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > kMaxDepth;
    return !too_deep;
  };
  try {
    Json value = Json::parse(text, limit_depth);
    if (too_deep) return fail(ErrorCode::kInvalid, "{}: nested deeper than {} levels", source, kMaxDepth);
    return value;
  } catch (const Json::parse_error& error) {
    std::size_t line = 1;
    std::size_t column = 1;
    for (std::size_t at = 0; at + 1 < error.byte && at < text.size(); ++at) {
      column = text[at] == '\n' ? 1 : column + 1;
      if (text[at] == '\n') ++line;
    }
    return fail(ErrorCode::kInvalid, "{}:{}:{}: not valid JSON", source, line, column);
  } catch (const Json::out_of_range& error) {  // says "… number overflow parsing '1e400'"
    const std::string_view words = error.what();
    return fail(ErrorCode::kInvalid, "{}: the number {} is beyond what double precision holds", source,
                words.substr(std::min(words.size(), words.find_last_of(' ') + 1)));
  }
}

}  // namespace gauntlet
