#include "core/base/text.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
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
  const std::string hint = guess ? fmt::format("; did you mean '{}'?", *guess) : std::string();
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

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::array kUnits = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return count_of(bytes, "byte");
  double amount = static_cast<double>(bytes);
  const char* unit = "";
  for (const char* larger : kUnits) {
    if (amount < 1024) break;
    amount /= 1024;
    unit = larger;
  }
  return fmt::format("{:.1f} {}", amount, unit);
}

namespace {

/// "1.5 GiB" → 1.5 and "gib".
std::optional<std::pair<double, std::string>> amount_and_unit(std::string_view text) {
  double amount = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), amount);
  if (error != std::errc{} || !std::isfinite(amount) || amount < 0) return std::nullopt;
  std::string unit;
  for (const char* at = end; at != text.data() + text.size(); ++at) {
    if (*at != ' ') unit += static_cast<char>(std::tolower(static_cast<unsigned char>(*at)));
  }
  return std::pair(amount, unit);
}

}  // namespace

Result<std::uint64_t> parse_bytes(std::string_view text) {
  const auto read = amount_and_unit(text);
  struct Unit {
    std::string_view name;
    double bytes;
  };
  constexpr std::array kUnits = {Unit{"", 1},
                                 Unit{"b", 1},
                                 Unit{"k", 1024.0},
                                 Unit{"kb", 1e3},
                                 Unit{"kib", 1024.0},
                                 Unit{"m", 1048576.0},
                                 Unit{"mb", 1e6},
                                 Unit{"mib", 1048576.0},
                                 Unit{"g", 1073741824.0},
                                 Unit{"gb", 1e9},
                                 Unit{"gib", 1073741824.0},
                                 Unit{"t", 1099511627776.0},
                                 Unit{"tb", 1e12},
                                 Unit{"tib", 1099511627776.0}};
  for (const Unit& unit : kUnits) {
    if (!read || read->second != unit.name) continue;
    const double bytes = read->first * unit.bytes;
    if (bytes < 1e18) return static_cast<std::uint64_t>(bytes);
  }
  return fail(ErrorCode::kInvalid, "'{}' is not a size; write it as 500MB, 20GB or 1.5TiB", text);
}

Result<double> parse_age(std::string_view text) {
  const auto read = amount_and_unit(text);
  struct Unit {
    std::string_view name;
    double seconds;
  };
  constexpr std::array kUnits = {Unit{"s", 1}, Unit{"m", 60}, Unit{"h", 3600}, Unit{"d", 86400},
                                 Unit{"w", 604800}};
  for (const Unit& unit : kUnits) {
    if (read && read->second == unit.name) return read->first * unit.seconds;
  }
  return fail(ErrorCode::kInvalid, "'{}' is not an age; write it as 36h, 30d or 8w", text);
}

}  // namespace gauntlet
