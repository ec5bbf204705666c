// The attack `swap`: for every query the one of some training inputs that retrieves least of it through the
// defended pipeline. A level: anyone with an unlimited budget reaches it. docs/robustness.md, "Reference
// levels".
#pragma once

#include <string_view>

#include "core/spec/catalog.hpp"

namespace gauntlet::spec {

inline constexpr std::string_view kSwapAttack = "swap";

/// No job crafts it: training inputs are encoded as queries are, and an evaluation chooses among them.
[[nodiscard]] CatalogEntry swap_entry();

}  // namespace gauntlet::spec
