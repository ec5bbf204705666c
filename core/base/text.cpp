#include "core/base/text.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

namespace gauntlet {
namespace {

/// Edit distance with insertions, deletions, substitutions and swaps of neighbours, each 1.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t row = 0; row <= a.size(); ++row) cost[row][0] = row;
  std::iota(cost[0].begin(), cost[0].end(), std::size_t{0});
  for (std::size_t row = 1; row <= a.size(); ++row) {
    for (std::size_t col = 1; col <= b.size(); ++col) {
      const std::size_t replace = cost[row - 1][col - 1] + (a[row - 1] == b[col - 1] ? 0 : 1);
      cost[row][col] = std::min({replace, cost[row - 1][col] + 1, cost[row][col - 1] + 1});
      const bool swapped = row > 1 && col > 1 && a[row - 1] == b[col - 2] && a[row - 2] == b[col - 1];
      if (swapped) cost[row][col] = std::min(cost[row][col], cost[row - 2][col - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

std::optional<double> plain_real(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

}  // namespace

std::optional<std::string> nearest_name(std::string_view word, std::span<const std::string> known) {
  if (word.size() > 200) return std::nullopt;  // nobody mistypes that much, and the search is quadratic
  const std::size_t allowed = std::max<std::size_t>(1, word.size() / 3);
  const std::string* best = nullptr;
  std::size_t best_distance = allowed + 1;
  for (const std::string& name : known) {
    const std::size_t distance = edit_distance(word, name);
    if (distance >= best_distance) continue;
    best = &name;
    best_distance = distance;
  }
  if (best == nullptr) return std::nullopt;
  return *best;
}

std::string unknown_name_message(std::string_view what, std::string_view word,
                                 std::span<const std::string> known) {
  const auto guess = nearest_name(word, known);
  const std::string hint = guess ? fmt::format("; did you mean '{}'?", *guess) : std::string(";");
  return fmt::format("unknown {} '{}'{} (known: {})", what, word, hint, fmt::join(known, ", "));
}

Result<double> parse_real(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto top = plain_real(text.substr(0, slash));
  const auto bottom =
      slash == std::string_view::npos ? std::optional(1.0) : plain_real(text.substr(slash + 1));
  if (!top || !bottom || *bottom == 0.0) {
    return fail(ErrorCode::kInvalid, "'{}' is not a number; write it as 0.05, 1e-3 or 8/255", text);
  }
  return *top / *bottom;
}

std::string count_of(std::size_t n, std::string_view singular) {
  return fmt::format("{} {}{}", n, singular, n == 1 ? "" : "s");
}

std::string human_duration(double seconds) {
  if (seconds < 10) return fmt::format("{:.1f}s", seconds);
  const auto whole = static_cast<long long>(std::llround(seconds));
  if (whole < 60) return fmt::format("{}s", whole);
  if (whole < 3600) return fmt::format("{}m {}s", whole / 60, whole % 60);
  return fmt::format("{}h {}m", whole / 3600, whole / 60 % 60);
}

}  // namespace gauntlet
