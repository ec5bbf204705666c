#include "core/spec/declaration.hpp"

#include "core/base/check.hpp"
#include "core/spec/detail/embedded_catalog.hpp"

namespace gauntlet::spec {

Json declaration_of(std::string_view defense) {
  static const Json kDeclarations = [] {
    const Result<Json> catalog = parse_json(detail::embedded_catalog_text(), "the embedded catalog");
    GAUNTLET_CHECK(catalog.has_value());  // it was read when the program was built
    Json declarations = Json::object();
    for (const Json& entry : catalog->value("defenses", Json::array()))
      if (entry.contains("declaration")) declarations[entry.value("name", "")] = entry["declaration"];
    return declarations;
  }();
  const auto found = kDeclarations.find(std::string(defense));
  return found == kDeclarations.end() ? Json() : *found;
}

}  // namespace gauntlet::spec
