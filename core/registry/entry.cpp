#include "core/registry/entry.hpp"

#include "core/base/check.hpp"

namespace gauntlet {

std::string_view name_of(Modality modality) {
  switch (modality) {
    case Modality::kImage:
      return "image";
    case Modality::kText:
      return "text";
  }
  return "unknown";
}

Result<Modality> modality_from(std::string_view name) {
  if (name == "image") return Modality::kImage;
  if (name == "text") return Modality::kText;
  return fail(ErrorCode::kInvalid, "'{}' is not a modality; allowed: image, text", name);
}

Json describe(const EntryInfo& entry) {
  GAUNTLET_CHECK(entry.fields != nullptr);
  Json fields = Json::array();
  for (const FieldInfo& field : entry.fields()) fields.push_back(to_json(field));
  const Capabilities& can = entry.capabilities;
  return {
      {"name", entry.name},
      {"version", entry.version},
      {"summary", entry.summary},
      {"reference", entry.reference},
      {"capabilities",
       {{"image", can.image},
        {"text", can.text},
        {"trains", can.trains},
        {"targeted", can.targeted},
        {"adaptive", can.adaptive},
        {"black_box", can.black_box},
        {"joint", can.joint},
        {"replaces_model", can.replaces_model},
        {"crafts_with", can.crafts_with}}},
      {"fields", fields},
      {"dataset_defaults",
       entry.dataset_defaults.empty() ? Json::object() : Json::parse(entry.dataset_defaults)},
  };
}

}  // namespace gauntlet
