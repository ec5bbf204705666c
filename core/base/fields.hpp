// Config fields: a struct lists its members once, in `fields(self, visitor)`; reading, writing, validating
// and the catalog are visitors over that one function.
//
//   struct BlurConfig {
//     std::int64_t radius = 1;
//     static void fields(auto& self, auto& visit) {
//       visit("radius", self.radius, {.doc = "Half width of the box, in pixels.", .min = 1, .max = 16});
//     }
//   };
#pragma once

#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "core/base/text.hpp"

namespace gauntlet {

enum class FieldType : std::uint8_t { kBool, kInteger, kReal, kText };

[[nodiscard]] std::string_view name_of(FieldType type);

/// What one field allows; everything is optional but `doc`.
struct FieldRule {
  std::string_view doc;  ///< meaning, unit, why this default
  std::optional<double> min = std::nullopt;
  std::optional<double> max = std::nullopt;
  std::vector<std::string> choices = {};  ///< for texts: the allowed values
  bool location = false;                  ///< says where something is, not what it is: no part of a job's key
};

/// One field as data: what the catalog stores and the sweep language checks against.
struct FieldInfo {
  std::string name;
  FieldType type = FieldType::kText;
  Json default_value;
  std::optional<double> min;
  std::optional<double> max;
  std::vector<std::string> choices;
  std::string doc;
  bool location = false;
  bool operator==(const FieldInfo&) const = default;
};

/// Brings `value` into the field's own type: a fraction "8/255" becomes a real, 3 becomes 3.0 for a real
/// field. Errors (kInvalid, one sentence): wrong type, out of range, not among the choices; value and
/// allowance shown.
[[nodiscard]] Result<Json> normalize_field(const FieldInfo& field, const Json& value);

/// Checks and completes a partial object of options: every field present, defaults filled in, types normal.
/// Errors: the first unknown key (with the nearest name) or bad value.
[[nodiscard]] Result<Json> complete_config(const std::vector<FieldInfo>& fields, const Json& partial,
                                           std::string_view owner);

[[nodiscard]] Json to_json(const FieldInfo& field);
[[nodiscard]] Result<FieldInfo> field_from_json(const Json& value);

template <class T>
concept FieldValue = std::same_as<T, bool> || std::same_as<T, std::int64_t> || std::same_as<T, double> ||
    std::same_as<T, std::string>;

template <FieldValue T>
[[nodiscard]] constexpr FieldType field_type() {
  if constexpr (std::same_as<T, bool>) return FieldType::kBool;
  if constexpr (std::same_as<T, std::int64_t>) return FieldType::kInteger;
  if constexpr (std::same_as<T, double>) return FieldType::kReal;
  return FieldType::kText;
}

/// Visitor that describes: collects a FieldInfo per field with the struct's own defaults.
class FieldDescriber {
 public:
  template <FieldValue T>
  void operator()(std::string_view name, const T& value, FieldRule rule) {
    fields.push_back({std::string(name), field_type<T>(), Json(value), rule.min, rule.max,
                      std::move(rule.choices), std::string(rule.doc), rule.location});
  }
  std::vector<FieldInfo> fields;
};

/// Visitor that reads an effective (complete, normal) config strictly.
class FieldReader {
 public:
  explicit FieldReader(const Json& config) : config_(config) {}

  template <FieldValue T>
  void operator()(std::string_view name, T& value, const FieldRule& rule) {
    const auto found = config_.find(name);
    if (found == config_.end() || !error.empty()) return;
    ++n_read;
    FieldDescriber describe;
    describe(name, value, rule);
    Result<Json> normal = normalize_field(describe.fields.front(), *found);
    if (normal) {
      value = normal->template get<T>();
    } else {
      error = normal.error().message;
    }
  }

  std::string error;
  std::size_t n_read = 0;

 private:
  const Json& config_;
};

/// Visitor that writes every field.
class FieldWriter {
 public:
  template <FieldValue T>
  void operator()(std::string_view name, const T& value, const FieldRule&) {
    config[std::string(name)] = value;
  }
  Json config = Json::object();
};

template <class Config>
concept HasFields = std::default_initializable<Config> && requires(Config& config, FieldDescriber& describe) {
  Config::fields(config, describe);
};

/// The fields of a config struct, defaults included.
template <HasFields Config>
[[nodiscard]] std::vector<FieldInfo> describe_fields() {
  FieldDescriber describe;
  Config defaults;
  Config::fields(defaults, describe);
  return std::move(describe.fields);
}

/// Reads a config; absent fields keep their defaults. Errors (kInvalid): unknown keys, wrong types, bad
/// ranges.
template <HasFields Config>
[[nodiscard]] Result<Config> read_config(const Json& object, std::string_view owner) {
  GAUNTLET_TRY(const Json complete, complete_config(describe_fields<Config>(), object, owner));
  Config config;
  FieldReader reader(complete);
  Config::fields(config, reader);
  if (!reader.error.empty()) return fail(ErrorCode::kInvalid, "{}: {}", owner, reader.error);
  return config;
}

template <HasFields Config>
[[nodiscard]] Json write_config(const Config& config) {
  FieldWriter writer;
  Config::fields(config, writer);
  return std::move(writer.config);
}

}  // namespace gauntlet
