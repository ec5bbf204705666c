#include "core/base/fields.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace gauntlet {
namespace {

std::string allowance(const FieldInfo& field) {
  if (!field.choices.empty()) return fmt::format("one of {}", fmt::join(field.choices, ", "));
  const std::string_view type = name_of(field.type);
  if (field.min && field.max) return fmt::format("{} from {} to {}", type, *field.min, *field.max);
  if (field.min) return fmt::format("{} of at least {}", type, *field.min);
  if (field.max) return fmt::format("{} of at most {}", type, *field.max);
  return std::string(type);
}

tl::unexpected<Error> refuse(const FieldInfo& field, const Json& value) {
  return fail(ErrorCode::kInvalid, "'{}' is {}; allowed: {}", field.name,
              value.dump(-1, ' ', false, Json::error_handler_t::replace), allowance(field));
}

std::optional<double> as_real(const Json& value) {
  if (value.is_number()) return value.get<double>();
  if (!value.is_string()) return std::nullopt;
  const auto parsed = parse_real(value.get_ref<const std::string&>());
  return parsed ? std::optional(*parsed) : std::nullopt;
}

bool in_range(const FieldInfo& field, double value) {
  return std::isfinite(value) && (!field.min || value >= *field.min) && (!field.max || value <= *field.max);
}

Result<Json> normalize_integer(const FieldInfo& field, const Json& value) {
  const auto real = as_real(value);
  constexpr double kExact = 9007199254740992.0;  // 2^53: above it a double no longer names one integer
  if (!real || *real != std::floor(*real) || std::abs(*real) > kExact || !in_range(field, *real)) {
    return refuse(field, value);
  }
  return Json(static_cast<std::int64_t>(*real));
}

Result<Json> normalize_text(const FieldInfo& field, const Json& value) {
  if (!value.is_string()) return refuse(field, value);
  const auto& text = value.get_ref<const std::string&>();
  if (field.choices.empty() || std::ranges::find(field.choices, text) != field.choices.end()) return value;
  return refuse(field, value);
}

}  // namespace

std::string_view name_of(FieldType type) {
  switch (type) {
    case FieldType::kBool:
      return "true or false";
    case FieldType::kInteger:
      return "an integer";
    case FieldType::kReal:
      return "a number";
    case FieldType::kText:
      return "a text";
  }
  return "unknown";
}

Result<Json> normalize_field(const FieldInfo& field, const Json& value) {
  switch (field.type) {
    case FieldType::kBool:
      if (!value.is_boolean()) return refuse(field, value);
      return value;
    case FieldType::kInteger:
      return normalize_integer(field, value);
    case FieldType::kReal: {
      const auto real = as_real(value);
      if (!real || !in_range(field, *real)) return refuse(field, value);
      return Json(*real);
    }
    case FieldType::kText:
      return normalize_text(field, value);
  }
  return refuse(field, value);
}

Result<Json> complete_config(const std::vector<FieldInfo>& fields, const Json& partial,
                             std::string_view owner) {
  if (!partial.is_object() && !partial.is_null()) {
    return fail(ErrorCode::kInvalid, "{}: options must be a mapping of names to values", owner);
  }
  Json complete = Json::object();
  for (const FieldInfo& field : fields) complete[field.name] = field.default_value;
  for (const auto& [name, value] : partial.items()) {
    const auto field = std::ranges::find(fields, name, &FieldInfo::name);
    if (field == fields.end()) {
      std::vector<std::string> known;
      for (const FieldInfo& each : fields) known.push_back(each.name);
      return fail(ErrorCode::kInvalid, "{}: {}", owner, unknown_name_message("option", name, known));
    }
    Result<Json> normal = normalize_field(*field, value);
    if (!normal) return fail(ErrorCode::kInvalid, "{}: {}", owner, normal.error().message);
    complete[name] = std::move(*normal);
  }
  return complete;
}

Json to_json(const FieldInfo& field) {
  static constexpr std::string_view kTypes[] = {"bool", "integer", "real", "text"};
  Json value = {{"name", field.name},
                {"type", kTypes[static_cast<std::size_t>(field.type)]},
                {"default", field.default_value},
                {"doc", field.doc}};
  if (field.min) value["min"] = *field.min;
  if (field.max) value["max"] = *field.max;
  if (!field.choices.empty()) value["choices"] = field.choices;
  if (field.location) value["location"] = true;
  return value;
}

Result<FieldInfo> field_from_json(const Json& value) {
  static const std::vector<std::string> kTypes = {"bool", "integer", "real", "text"};
  try {
    FieldInfo field;
    field.name = value.at("name").get<std::string>();
    const auto type = std::ranges::find(kTypes, value.at("type").get<std::string>());
    if (type == kTypes.end()) return fail(ErrorCode::kCorrupt, "field '{}' has an unknown type", field.name);
    field.type = static_cast<FieldType>(type - kTypes.begin());
    field.default_value = value.at("default");
    field.doc = value.at("doc").get<std::string>();
    if (value.contains("min")) field.min = value["min"].get<double>();
    if (value.contains("max")) field.max = value["max"].get<double>();
    field.location = value.value("location", false);
    if (value.contains("choices")) field.choices = value["choices"].get<std::vector<std::string>>();
    return field;
  } catch (const Json::exception& error) {
    return fail(ErrorCode::kCorrupt, "a field of the catalog is malformed: {}", error.what());
  }
}

}  // namespace gauntlet
