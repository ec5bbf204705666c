#include "core/spec/attack_scope.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "core/base/random.hpp"

namespace gauntlet::spec {
namespace {

constexpr std::array<std::string_view, 3> kSides = {"query", "database", "both"};

/// Some of 0 .. n-1, ascending. With one seed a smaller draw is part of a larger one.
std::vector<std::size_t> drawn(std::size_t n, std::size_t n_wanted, std::uint64_t seed) {
  std::vector<std::size_t> left(n);
  std::iota(left.begin(), left.end(), std::size_t{0});
  if (n_wanted >= n) return left;
  RandomStream stream(seed);
  for (std::size_t at = 0; at < n_wanted; ++at)
    std::swap(left[at], left[at + stream.below(static_cast<std::uint32_t>(n - at))]);
  left.resize(n_wanted);
  std::ranges::sort(left);
  return left;
}

}  // namespace

std::string_view name_of(AttackedSides sides) { return kSides[static_cast<std::size_t>(sides)]; }

std::optional<AttackedSides> sides_from(std::string_view name) {
  const auto found = std::ranges::find(kSides, name);
  if (found == kSides.end()) return std::nullopt;
  return static_cast<AttackedSides>(found - kSides.begin());
}

double AttackScope::database_fraction() const {
  return static_cast<double>(database_millionths) / kWholeDatabase;
}

void tell_scope(const AttackScope& scope, Json& config) {
  if (scope.attacks_database()) {
    config["sides"] = name_of(scope.sides);
    config["database_fraction"] = scope.database_fraction();
  }
  if (scope.on_queries > 0) config["on_queries"] = scope.on_queries;
}

std::vector<std::size_t> kept_queries(std::size_t n_queries, const Json& config, const JobKey& data) {
  const auto wanted = config.value("on_queries", std::uint64_t{0});
  return drawn(n_queries, wanted == 0 ? n_queries : wanted, purpose_seed(0, data.hex(), "on_queries"));
}

std::vector<std::size_t> attacked_items(std::size_t n_items, const Json& config, std::uint64_t seed,
                                        const JobKey& data) {
  const double wanted = std::round(config.value("database_fraction", 1.0) * static_cast<double>(n_items));
  return drawn(n_items, static_cast<std::size_t>(std::max(wanted, 1.0)),
               purpose_seed(seed, data.hex(), "attacked database"));
}

}  // namespace gauntlet::spec
