// The text of schemas/catalog.json as it was when this program was built.
#pragma once

#include <string_view>

namespace gauntlet::spec::detail {

[[nodiscard]] std::string_view embedded_catalog_text();

}  // namespace gauntlet::spec::detail
