#include "core/proto/convert.hpp"

#include <gmock/gmock.h>

namespace gauntlet::proto {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Convert, ResourcesSurviveTheRoundTrip) {
  const spec::Resources resources{.cpus = 8, .gpus = 2, .ranks = 1, .memory_mb = 4096, .time_s = 60};
  EXPECT_EQ(*resources_from(to_proto(resources)), resources);
  spec::Resources varied = resources;
  varied.labels = {{"disk", "ssd"}};
  varied.or_else = {{.cpus = 16, .gpus = 0, .time_s = 60}};
  EXPECT_EQ(*resources_from(to_proto(varied)), varied);
}

TEST(Convert, RefusesVariantsAndLabelsThatBreakTheRules) {
  Resources message = to_proto(spec::Resources{});
  message.add_or_else()->set_ranks(1);
  EXPECT_THAT(resources_from(message).error().message, HasSubstr("two variants ask for 0 gpus"));
  message.mutable_or_else(0)->set_gpus(1);
  EXPECT_TRUE(resources_from(message));
  message.mutable_or_else(0)->set_gpus(99);
  EXPECT_THAT(resources_from(message).error().message, HasSubstr("gpus is 99"));
  message.mutable_or_else(0)->set_gpus(1);
  message.mutable_or_else(0)->set_time_s(1);
  EXPECT_THAT(resources_from(message).error().message, HasSubstr("belong to the first variant"));
  message.clear_or_else();
  for (int n_variants = 1; n_variants <= 8; ++n_variants) {
    message.add_or_else()->set_ranks(1);
    message.mutable_or_else(n_variants - 1)->set_gpus(n_variants);
  }
  EXPECT_THAT(resources_from(message).error().message, HasSubstr("9 variants; at most 8"));
  message.clear_or_else();
  (*message.mutable_labels())["a b"] = "c";
  EXPECT_THAT(resources_from(message).error().message, HasSubstr("label 'a b=c' is malformed"));
}

TEST(Convert, RefusesResourcesOutOfRangeByName) {
  Resources message = to_proto(spec::Resources{});
  message.set_gpus(65);
  const auto refused = resources_from(message);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "resources: gpus is 65; allowed are 0 to 64");
  message.set_gpus(0);
  message.set_ranks(0);
  EXPECT_THAT(resources_from(message).error().message, HasSubstr("ranks is 0"));
  message.set_ranks(1);
  message.set_cpus(-1);
  EXPECT_THAT(resources_from(message).error().message, HasSubstr("cpus is -1"));
}

TEST(Convert, RowsSurviveTheRoundTrip) {
  const spec::ResultRow row{.metric = "map@50:first_relevant",
                            .value = 0.25,
                            .unit = "ratio",
                            .higher_is_better = false,
                            .n = 2,
                            .per_query = {0.5F, 0.0F}};
  const auto read = row_from(to_proto(row));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->metric, row.metric);
  EXPECT_EQ(read->value, 0.25);
  EXPECT_FALSE(read->higher_is_better);
  EXPECT_EQ(read->n, 2);
  EXPECT_THAT(read->per_query, ElementsAre(0.5F, 0.0F));
}

TEST(Convert, RefusesRowsAndCurvesWithBrokenArrays) {
  Row row;
  row.set_metric("map");
  row.set_per_query("abc");
  EXPECT_THAT(row_from(row).error().message, HasSubstr("map: 3 bytes"));
  Curve curve =
      to_proto(spec::Curve{.name = "pr", .x_label = "recall", .y_label = "precision", .x = {1}, .y = {2}});
  ASSERT_TRUE(curve_from(curve));
  curve.clear_y();
  EXPECT_THAT(curve_from(curve).error().message, HasSubstr("curve pr: 1 x values, but 0 y values"));
}

TEST(Convert, KeysAreThirtyTwoBytes) {
  JobKey key;
  key.digest = sha256("abc");
  EXPECT_EQ(*key_from_bytes(key_bytes(key)), key);
  EXPECT_THAT(key_from_bytes("short").error().message, HasSubstr("5 bytes"));
}

}  // namespace
}  // namespace gauntlet::proto
