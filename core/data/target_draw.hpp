// What a targeted attack aims at: one item of the retrieval set for each query, drawn the same way for every
// attack, built-in or external. Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/data/prepared_set.hpp"

namespace gauntlet::data {

/// How a target is drawn; the attack's fields `targets` and `target_min_items` say it.
enum class TargetDraw : std::uint8_t {
  kUniform,   ///< any item of the retrieval set; it may share labels with the query (as TA-DCH's release)
  kDistinct,  ///< any of the distinct label vectors of the retrieval set, by one of its items (THA)
  kDisjoint,  ///< an item that shares no label with the query
  kFrequent,  ///< a label vector other than the query's own that enough training items have exactly (DHTA)
};
/// Errors (kInvalid): what is allowed.
[[nodiscard]] Result<TargetDraw> target_draw_from(std::string_view name);

struct DrawnTargets {
  std::vector<std::uint8_t> labels;  ///< row-major [n, C]: the items' label vectors
  std::vector<std::int64_t> items;   ///< [n]
};

/// Draws for each row its own target; the draw of a row depends on seed and row alone. `min_items`: training
/// items that must share a target's label vector (kFrequent). Errors (kInvalid): a query with no candidate.
[[nodiscard]] Result<DrawnTargets> draw_target_items(const PreparedSet& set,
                                                     std::span<const std::int64_t> rows, TargetDraw draw,
                                                     std::int64_t min_items, std::uint64_t seed);

}  // namespace gauntlet::data
