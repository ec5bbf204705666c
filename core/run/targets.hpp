// Which retrieval item each query of a targeted attack is to be taken for.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <span>
#include <string_view>

#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "core/data/prepared_set.hpp"

namespace gauntlet::run {

/// How a target is drawn; the attack's fields `targets` and `target_min_items` say it.
enum class TargetDraw : std::uint8_t {
  kUniform,   ///< any item of the retrieval set; it may share labels with the query (as TA-DCH's release)
  kDistinct,  ///< any of the distinct label vectors of the retrieval set, by one of its items (THA)
  kDisjoint,  ///< an item that shares no label with the query
  kFrequent,  ///< a label vector other than the query's own that enough training items have exactly (DHTA)
};
[[nodiscard]] Result<TargetDraw> target_draw_from(std::string_view name);

struct Targets {
  torch::Tensor labels;  ///< [n, C] uint8
  torch::Tensor items;   ///< [n] int64 dataset rows
};

/// One target for each query row, from a stream of (seed, row): the same for every attack, model and defense
/// that draws in the same way. `min_items` is of kFrequent. Errors (kInvalid): a query for which the
/// retrieval set has no such item.
[[nodiscard]] Result<Targets> draw_targets(const data::PreparedSet& set, std::span<const std::int64_t> rows,
                                           TargetDraw draw, std::int64_t min_items, std::uint64_t seed);

}  // namespace gauntlet::run
