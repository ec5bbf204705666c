// What of a cell an attack may change: its queries, items of its database, or both, and how many of either.
// docs/sweeps.md, "Sides". Thread safety: plain values, pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "core/base/ids.hpp"
#include "core/base/json.hpp"

namespace gauntlet::spec {

enum class AttackedSides : std::uint8_t { kQuery, kDatabase, kBoth };
[[nodiscard]] std::string_view name_of(AttackedSides sides);  // "query", "database", "both"
[[nodiscard]] std::optional<AttackedSides> sides_from(std::string_view name);

struct AttackScope {
  static constexpr std::uint32_t kWholeDatabase = 1'000'000;

  AttackedSides sides = AttackedSides::kQuery;
  /// Millionths of the retrieval set's items that are attacked, 1 to kWholeDatabase; of no meaning for
  /// kQuery.
  std::uint32_t database_millionths = kWholeDatabase;
  std::uint32_t on_queries = 0;  ///< queries that are attacked and measured, drawn; 0: all

  [[nodiscard]] bool attacks_queries() const { return sides != AttackedSides::kDatabase; }
  [[nodiscard]] bool attacks_database() const { return sides != AttackedSides::kQuery; }
  [[nodiscard]] double database_fraction() const;
  bool operator==(const AttackScope&) const = default;
};
inline constexpr std::uint32_t kMaxOnQueries = 10'000'000;

/// What an evaluation's config says of it: "sides" and "database_fraction" where the database is attacked,
/// "on_queries" where not all queries are; nothing of what is usual, so that usual jobs keep their keys.
void tell_scope(const AttackScope& scope, Json& config);

/// The queries that a config's "on_queries" keeps, as positions among the data set's `n_queries`, ascending;
/// all of them where it says nothing. The same for every model, defense, attack and seed; those of a smaller
/// number are among those of a larger one.
[[nodiscard]] std::vector<std::size_t> kept_queries(std::size_t n_queries, const Json& config,
                                                    const JobKey& data);

/// The retrieval items that a config's "database_fraction" (0 to 1) attacks, as positions among `n_items`,
/// ascending, at least one where there are any. The same for every model, defense and attack of a cell seed;
/// those of a smaller fraction are among those of a larger one.
[[nodiscard]] std::vector<std::size_t> attacked_items(std::size_t n_items, const Json& config,
                                                      std::uint64_t seed, const JobKey& data);

}  // namespace gauntlet::spec
