#include "core/spec/declaration.hpp"

#include "core/base/check.hpp"
#include "core/spec/detail/embedded_catalog.hpp"
#include "core/spec/external.hpp"

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

bool refuses(const CatalogEntry& defense) {
  if (defense.external) return defense.external->refuses;
  const Json declaration = declaration_of(defense.name);
  return declaration.is_object() && declaration.value("refuses", false);
}

}  // namespace gauntlet::spec
