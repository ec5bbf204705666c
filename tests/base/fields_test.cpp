#include "core/base/fields.hpp"

#include <gmock/gmock.h>

namespace gauntlet {
namespace {

using testing::HasSubstr;

struct BlurConfig {
  std::int64_t radius = 1;
  double strength = 8.0 / 255;
  std::string edge = "replicate";
  bool on = true;
  static void fields(auto& self, auto& visit) {
    visit("radius", self.radius, {.doc = "Half width, pixels.", .min = 1, .max = 16});
    visit("strength", self.strength, {.doc = "In [0,1].", .min = 0, .max = 1});
    visit("edge", self.edge, {.doc = "Beyond the border.", .choices = {"replicate", "zero"}});
    visit("on", self.on, {.doc = "Whether at all."});
  }
};

TEST(Fields, DefaultsSurviveARoundTrip) {
  const Json written = write_config(BlurConfig{});
  const auto read = read_config<BlurConfig>(written, "blur");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(write_config(*read), written);
}

TEST(Fields, AFractionIsANumber) {
  const auto read = read_config<BlurConfig>(Json{{"strength", "4/255"}}, "blur");
  ASSERT_TRUE(read);
  EXPECT_DOUBLE_EQ(read->strength, 4.0 / 255);
}

TEST(Fields, AnUnknownOptionIsAnsweredWithTheNearestOne) {
  const auto read = read_config<BlurConfig>(Json{{"raduis", 2}}, "blur");
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message, HasSubstr("did you mean 'radius'?"));
}

TEST(Fields, EveryRefusalShowsTheValueAndWhatIsAllowed) {
  const auto message = [](const Json& options) {
    return read_config<BlurConfig>(options, "blur").error().message;
  };
  EXPECT_EQ(message({{"radius", 17}}), "blur: 'radius' is 17; allowed: an integer from 1 to 16");
  EXPECT_EQ(message({{"radius", 1.5}}), "blur: 'radius' is 1.5; allowed: an integer from 1 to 16");
  EXPECT_EQ(message({{"edge", "wrap"}}), "blur: 'edge' is \"wrap\"; allowed: one of replicate, zero");
  EXPECT_EQ(message({{"on", 1}}), "blur: 'on' is 1; allowed: true or false");
  EXPECT_EQ(message(Json::array({1})), "blur: options must be a mapping of names to values");
}

TEST(Fields, ADescriptionSurvivesJson) {
  for (const FieldInfo& field : describe_fields<BlurConfig>()) {
    const auto back = field_from_json(to_json(field));
    ASSERT_TRUE(back);
    EXPECT_EQ(*back, field);
  }
}

}  // namespace
}  // namespace gauntlet
