// What a defense says of itself for those who attack it: its stages, gradients, randomness, cost.
// Thread safety: immutable after the first call.
#pragma once

#include <string_view>

#include "core/base/json.hpp"

namespace gauntlet::spec {

/// The "declaration" of a built-in defense in schemas/catalog.json: {"stages": [{"name", "gradient",
/// "random", "test_time_steps", …}], "trained_on", "extra_data", "forward_passes", "refuses"}. Null for a
/// name that has none.
[[nodiscard]] Json declaration_of(std::string_view defense);

struct CatalogEntry;
/// Whether a defense may answer a query with a refusal, as it says of itself.
[[nodiscard]] bool refuses(const CatalogEntry& defense);

}  // namespace gauntlet::spec
