#include "core/spec/backbone_fields.hpp"

namespace gauntlet::spec {

Json backbone_fields(const Json& config) {
  Json fields = Json::object();
  for (const auto& [name, value] : config.items()) {
    if (name.starts_with("backbone")) fields[name] = value;
  }
  return fields;
}

bool has_frozen_backbone(const Json& model_config) {
  const auto frozen = model_config.find("backbone_frozen");
  const auto name = model_config.find("backbone");
  if (frozen == model_config.end() || name == model_config.end() || *frozen != true) return false;
  return *name == "cnnf" || *name == "alexnet";
}

}  // namespace gauntlet::spec
