#include <algorithm>
#include <charconv>

#include "core/base/text.hpp"
#include "core/spec/detail/section_readers.hpp"

namespace gauntlet::spec::detail {
namespace {

const Names kTies = {"expected", "stable", "best", "worst"};

bool is_word(std::string_view text) {
  const auto is_part = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  return !text.empty() && std::ranges::all_of(text, is_part);
}

bool is_count(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() && value >= 1 && text.front() != '0';
}

/// Cuts what follows the first `mark` off `text`; nullopt when there is no mark.
std::optional<std::string> cut_after(std::string& text, char mark) {
  const std::size_t at = text.find(mark);
  if (at == std::string::npos) return std::nullopt;
  std::string tail = text.substr(at + 1);
  text.resize(at);
  return tail;
}

/// Checks base[@K][:kind][/ties] and gives its shortest form.
Result<std::string> shortest_name(const std::string& written, const Catalog& catalog) {
  std::string base = written;
  const auto ties = cut_after(base, '/');
  const auto kind = cut_after(base, ':');
  const auto at = cut_after(base, '@');
  if (const auto entry = catalog.find(EntryKind::kMetric, base); !entry) return fail(entry.error());
  if (at && !is_count(*at)) {
    return fail(ErrorCode::kInvalid, "metric '{}': '{}' after @ is not an integer of at least 1", written,
                *at);
  }
  if (kind && !is_word(*kind)) {
    return fail(ErrorCode::kInvalid, "metric '{}': bad kind '{}'; the form is base[@K][:kind][/ties]",
                written, *kind);
  }
  if (ties && std::ranges::find(kTies, *ties) == kTies.end()) {
    return fail(ErrorCode::kInvalid, "metric '{}': {}", written,
                unknown_name_message("rule for ties", *ties, kTies));
  }
  std::string name = std::move(base);
  if (at) name += "@" + *at;
  if (kind) name += ":" + *kind;
  if (ties && *ties != "expected") name += "/" + *ties;
  return name;
}

}  // namespace

std::vector<std::string> read_metrics(const YamlNode& node, const Catalog& catalog,
                                      const MetricCheck& check_metric, Report& report) {
  std::vector<std::string> names;
  for (const PlacedText& written : texts_of(node, "metrics", report)) {
    auto name = shortest_name(written.text, catalog);
    const Status meaning = name && check_metric ? check_metric(*name) : Status();
    if (!name) {
      report.add(written.place, "{}", name.error().message);
    } else if (!meaning) {
      report.add(written.place, "{}", meaning.error().message);
    } else if (std::ranges::find(names, *name) != names.end()) {
      report.add(written.place, "metric '{}' is listed twice", *name);
    } else {
      names.push_back(std::move(*name));
    }
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace gauntlet::spec::detail
