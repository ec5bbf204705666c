#include "core/spec/detail/reading.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/base/text.hpp"

namespace gauntlet::spec::detail {
namespace {

constexpr std::size_t kShownLength = 60;  // of a value in a message

template <class Number>
std::optional<Number> whole_number(const std::string& text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

void Report::add_all(std::vector<Problem> problems) {
  std::ranges::move(problems, std::back_inserter(problems_));
}

std::vector<Problem> Report::take() {
  std::ranges::stable_sort(problems_, {},
                           [](const Problem& each) { return std::pair(each.line, each.column); });
  problems_.erase(std::unique(problems_.begin(), problems_.end()), problems_.end());
  return std::move(problems_);
}

std::string seen(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "nothing";
    case YamlNode::Kind::kSequence:
      return "a list";
    case YamlNode::Kind::kMap:
      return "a mapping";
    case YamlNode::Kind::kScalar:
      break;
  }
  if (node.text.size() <= kShownLength) return fmt::format("'{}'", node.text);
  std::size_t length = kShownLength;
  while ((static_cast<unsigned char>(node.text[length]) & 0xC0U) == 0x80U)
    --length;  // never inside a character
  return fmt::format("'{}…'", node.text.substr(0, length));
}

std::optional<Json> scalar_value(const YamlNode& node) {
  if (node.kind == YamlNode::Kind::kNull) return Json();
  if (!node.is_scalar()) return std::nullopt;
  const std::string& text = node.text;
  if (node.quoted) return Json(text);
  if (text == "true" || text == "True" || text == "TRUE") return Json(true);
  if (text == "false" || text == "False" || text == "FALSE") return Json(false);
  if (const auto integer = whole_number<std::int64_t>(text)) return Json(*integer);
  if (const auto real = whole_number<double>(text); real && std::isfinite(*real)) return Json(*real);
  return Json(text);
}

std::vector<const YamlNode*> values_of(const YamlNode& node) {
  return node.is_sequence() ? node.items : std::vector<const YamlNode*>{&node};
}

std::vector<PlacedText> texts_of(const YamlNode& node, std::string_view what, Report& report) {
  std::vector<PlacedText> texts;
  for (const YamlNode* item : values_of(node)) {
    if (item->is_scalar()) {
      texts.push_back({item->text, item->place});
    } else {
      report.add(item->place, "{} is {}; allowed: a name or a list of names", what, seen(*item));
    }
  }
  if (node.is_sequence() && node.items.empty())
    report.add(node.place, "{} is an empty list; name at least one", what);
  return texts;
}

std::optional<std::string> text_of(const YamlNode& node, std::string_view what, Report& report) {
  if (node.is_scalar() && !node.text.empty()) return node.text;
  report.add(node.place, "{} is {}; allowed: a text", what, node.is_scalar() ? "empty" : seen(node));
  return std::nullopt;
}

std::optional<std::uint64_t> integer_of(const YamlNode& node, std::string_view what, std::uint64_t low,
                                        std::uint64_t high, Report& report) {
  const auto value = node.is_scalar() && !node.quoted ? whole_number<std::uint64_t>(node.text) : std::nullopt;
  if (value && *value >= low && *value <= high) return value;
  report.add(node.place, "{} is {}; allowed: an integer from {} to {}", what, seen(node), low, high);
  return std::nullopt;
}

bool expect_map(const YamlNode& node, std::string_view what, Report& report) {
  if (node.is_map()) return true;
  report.add(node.place, "{} is {}; allowed: a mapping (key: value)", what, seen(node));
  return false;
}

bool expect_list(const YamlNode& node, std::string_view what, Report& report) {
  if (node.is_sequence()) return true;
  report.add(node.place, "{} is {}; allowed: a list", what, seen(node));
  return false;
}

void refuse_unknown_keys(const YamlNode& map, std::string_view what, const Names& known, Report& report) {
  for (const YamlNode::Member& member : map.members) {
    if (std::ranges::find(known, member.key->text) != known.end()) continue;
    report.add(member.key->place, "{}",
               unknown_name_message(fmt::format("key of {}", what), member.key->text, known));
  }
}

}  // namespace gauntlet::spec::detail
