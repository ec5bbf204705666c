#include "core/metrics/metric_name.hpp"

#include <charconv>

namespace gauntlet::metrics {
namespace {

constexpr std::string_view kForm = "the form is base[@K][:kind][/ties], as in map@50:first_relevant/stable";

/// Cuts the part after the last `mark` off `text`; empty optional part when there is none.
bool cut(std::string_view& text, char mark, std::string_view& part) {
  const std::size_t at = text.rfind(mark);
  if (at == std::string_view::npos) return false;
  part = text.substr(at + 1);
  text = text.substr(0, at);
  return true;
}

bool is_word(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) return false;
  }
  return true;
}

}  // namespace

std::string_view name_of(Ties ties) {
  switch (ties) {
    case Ties::kExpected:
      return "expected";
    case Ties::kStable:
      return "stable";
    case Ties::kBest:
      return "best";
    case Ties::kWorst:
      return "worst";
  }
  return "unknown";
}

Result<Ties> ties_from(std::string_view name) {
  for (const Ties ties : {Ties::kExpected, Ties::kStable, Ties::kBest, Ties::kWorst}) {
    if (name == name_of(ties)) return ties;
  }
  return fail(ErrorCode::kInvalid, "'{}' is not a rule for ties; allowed: expected, stable, best, worst",
              name);
}

Result<MetricName> MetricName::parse(std::string_view text) {
  MetricName name;
  std::string_view rest = text;
  std::string_view part;
  if (cut(rest, '/', part)) {
    const Result<Ties> ties = ties_from(part);
    if (!ties) return fail(ErrorCode::kInvalid, "metric '{}': {}", text, ties.error().message);
    name.ties = *ties;
  }
  if (cut(rest, ':', part)) {
    if (!is_word(part)) return fail(ErrorCode::kInvalid, "metric '{}': bad kind '{}'; {}", text, part, kForm);
    name.kind = part;
  }
  if (cut(rest, '@', part)) {
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), name.at);
    if (error != std::errc{} || end != part.data() + part.size() || name.at < 1) {
      return fail(ErrorCode::kInvalid, "metric '{}': '{}' after @ is not a whole number of at least 1", text,
                  part);
    }
  }
  if (!is_word(rest)) return fail(ErrorCode::kInvalid, "'{}' is not a metric name; {}", text, kForm);
  name.base = rest;
  return name;
}

std::string MetricName::text() const {
  std::string all = base;
  if (at != 0) all += fmt::format("@{}", at);
  if (!kind.empty()) all += ":" + kind;
  if (ties != Ties::kExpected) all += fmt::format("/{}", name_of(ties));
  return all;
}

}  // namespace gauntlet::metrics
