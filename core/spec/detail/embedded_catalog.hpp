// The texts of schemas/catalog.json and of the attack sets as they were when this program was built.
#pragma once

#include <string_view>

namespace gauntlet::spec::detail {

[[nodiscard]] std::string_view embedded_catalog_text();
/// A JSON array of the files in core/spec/attack_sets.
[[nodiscard]] std::string_view embedded_attack_sets_text();

}  // namespace gauntlet::spec::detail
