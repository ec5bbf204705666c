// schemas/sweep.schema.json, which editors use, knows the same keys as the reader.

#include "core/spec/detail/keys.hpp"
#include "tests/spec/sweeps.hpp"

namespace gauntlet::spec {
namespace {

using testing::UnorderedElementsAreArray;

const Json& schema() {
  static const Json document = [] {
    const auto text = read_file(std::filesystem::path(GAUNTLET_SOURCE_DIR) / "schemas/sweep.schema.json");
    EXPECT_TRUE(text.has_value());
    const auto read = parse_json(*text, "sweep.schema.json");
    EXPECT_TRUE(read.has_value()) << read.error().message;
    return *read;
  }();
  return document;
}

std::vector<std::string> properties(const std::string& pointer) {
  std::vector<std::string> names;
  for (const auto& [name, value] : schema().at(Json::json_pointer(pointer)).at("properties").items())
    names.push_back(name);
  return names;
}

std::vector<std::string> texts_at(const std::string& pointer) {
  return schema().at(Json::json_pointer(pointer)).get<std::vector<std::string>>();
}

TEST(SweepSchema, HasThePropertiesTheReaderKnows) {
  EXPECT_THAT(properties(""), UnorderedElementsAreArray(detail::kSweepKeys));
  EXPECT_THAT(properties("/properties/axes"), UnorderedElementsAreArray(detail::kAxisKeys));
  EXPECT_THAT(properties("/$defs/point"), UnorderedElementsAreArray(detail::kAxisKeys));
  EXPECT_THAT(properties("/$defs/cells"), UnorderedElementsAreArray(detail::kAxisKeys));
  EXPECT_THAT(properties("/$defs/entryValue/oneOf/1"), UnorderedElementsAreArray(detail::kEntryValueKeys));
  EXPECT_THAT(properties("/$defs/attackValue/oneOf/1"), UnorderedElementsAreArray(detail::kAttackValueKeys));
  EXPECT_THAT(properties("/$defs/attackValue/oneOf/1/properties/source"),
              UnorderedElementsAreArray(detail::kSourceKeys));
  EXPECT_THAT(properties("/$defs/numberValue/oneOf/1"), UnorderedElementsAreArray(detail::kPlainValueKeys));
  EXPECT_THAT(properties("/properties/settings/items"), UnorderedElementsAreArray(detail::kSettingKeys));
  EXPECT_THAT(properties("/properties/ablations/items"), UnorderedElementsAreArray(detail::kAblationKeys));
  EXPECT_THAT(properties("/properties/select/items"), UnorderedElementsAreArray(detail::kSelectKeys));
  EXPECT_THAT(properties("/properties/select/items/properties/by"),
              UnorderedElementsAreArray(detail::kSelectByKeys));
  EXPECT_THAT(properties("/properties/select/items/properties/validation"),
              UnorderedElementsAreArray(detail::kValidationKeys));
  EXPECT_THAT(properties("/properties/explain/items"), UnorderedElementsAreArray(detail::kExplainKeys));
  EXPECT_THAT(properties("/properties/noop"), UnorderedElementsAreArray(detail::kNoopKeys));
  EXPECT_THAT(properties("/properties/command"), UnorderedElementsAreArray(detail::kCommandKeys));
  EXPECT_THAT(properties("/$defs/resources"), UnorderedElementsAreArray(detail::kResourceKeys));
}

TEST(SweepSchema, HasTheNamesTheReaderKnows) {
  EXPECT_THAT(texts_at("/$defs/axis/enum"), UnorderedElementsAreArray(detail::kAxisKeys));
  EXPECT_THAT(texts_at("/$defs/direction/enum"), UnorderedElementsAreArray(detail::kDirections));
  EXPECT_THAT(texts_at("/$defs/protocol/enum"), UnorderedElementsAreArray(detail::kProtocols));
  std::vector<std::string> kinds;
  for (int kind = 0; kind < kJobKindCount; ++kind) kinds.emplace_back(name_of(static_cast<JobKind>(kind)));
  EXPECT_THAT(properties("/properties/resources"), UnorderedElementsAreArray(kinds));
}

TEST(SweepSchema, IsClosedWhereTheReaderIs) {
  for (const char* pointer :
       {"", "/properties/axes", "/properties/settings/items", "/properties/ablations/items",
        "/properties/explain/items", "/properties/select/items", "/properties/select/items/properties/by",
        "/properties/select/items/properties/validation", "/properties/noop", "/properties/command",
        "/properties/resources", "/$defs/resources", "/$defs/point", "/$defs/cells"}) {
    EXPECT_EQ(schema().at(Json::json_pointer(pointer)).value("additionalProperties", true), false) << pointer;
  }
}

}  // namespace
}  // namespace gauntlet::spec
