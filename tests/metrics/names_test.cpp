#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/metrics/evaluate.hpp"
#include "core/metrics/metric.hpp"

namespace gauntlet::metrics {
namespace {

std::string refusal(std::string_view text) {
  const Result<ResolvedMetric> metric = resolve_metric(text);
  if (metric) return "accepted";
  EXPECT_EQ(metric.error().code, ErrorCode::kInvalid);
  return metric.error().message;
}

TEST(MetricName, ReadsEveryPart) {
  const MetricName name = MetricName::parse("map@50:first_relevant/stable").value();
  EXPECT_EQ(name.base, "map");
  EXPECT_EQ(name.at, 50);
  EXPECT_EQ(name.kind, "first_relevant");
  EXPECT_EQ(name.ties, Ties::kStable);
  EXPECT_EQ(name.text(), "map@50:first_relevant/stable");
}

TEST(MetricName, ExpectedTiesAreTheShortForm) {
  EXPECT_EQ(MetricName::parse("map/expected").value(), MetricName::parse("map").value());
  EXPECT_EQ(MetricName::parse("map/expected")->text(), "map");
}

TEST(MetricName, EveryFormThatMeansSomethingResolves) {
  for (const char* text : {"map",
                           "map/best",
                           "map/worst",
                           "map/stable",
                           "map@50:first_relevant",
                           "map@1000:topk_hits/worst",
                           "map@1000:topk_ir",
                           "t_map",
                           "t_map@50:first_relevant",
                           "pr",
                           "pr:radius_micro",
                           "pr:radius_macro",
                           "pr:rank_macro/stable",
                           "pr:recall_levels",
                           "recall@5/worst",
                           "precision_radius@2",
                           "acg@7",
                           "ndcg@100/best",
                           "wap/stable",
                           "precision@100",
                           "precision@1/best",
                           "chance_map"}) {
    EXPECT_TRUE(resolve_metric(text)) << text;
  }
}

TEST(MetricName, RefusalsSayWhatIsAllowed) {
  EXPECT_EQ(refusal("map/middle"),
            "metric 'map/middle': 'middle' is not a rule for ties; allowed: expected, stable, best, worst");
  EXPECT_EQ(refusal("map@50"),
            "metric 'map@50' has three meanings; write map@50:KIND with a KIND of first_relevant, topk_hits, "
            "topk_ir");
  EXPECT_EQ(refusal("map@50:top"),
            "metric 'map@50:top': unknown kind 'top'; allowed: first_relevant, topk_hits, topk_ir");
  EXPECT_EQ(refusal("map:topk_ir"), "metric 'map:topk_ir': a kind needs its K, as in map@50:first_relevant");
  EXPECT_EQ(refusal("map@0:topk_ir"),
            "metric 'map@0:topk_ir': '0' after @ is not a whole number of at least 1");
  EXPECT_EQ(refusal("map@:topk_ir"), "metric 'map@:topk_ir': '' after @ is not a whole number of at least 1");
  EXPECT_EQ(refusal("map@99999999999999999999:topk_ir"),
            "metric 'map@99999999999999999999:topk_ir': '99999999999999999999' after @ is not a whole number "
            "of at least 1");
  EXPECT_EQ(refusal("precision"), "metric 'precision' needs its n, as in precision@100");
  EXPECT_EQ(refusal("precision@5:x"),
            "metric 'precision@5:x': precision has no kinds, but 'x' was asked for");
  EXPECT_EQ(refusal("pr@5"),
            "metric 'pr@5': pr takes no @K and has no ties to break; write pr or pr:radius_macro");
  EXPECT_EQ(refusal("pr:nano"),
            "metric 'pr:nano': unknown kind 'nano'; allowed: radius_micro, radius_macro, rank_macro, "
            "recall_levels");
  EXPECT_EQ(refusal("chance_map/best"),
            "metric 'chance_map/best': chance_map takes no @K, no kind and no rule for ties");
  EXPECT_THAT(refusal("mapp"), testing::HasSubstr("did you mean 'map'?"));
  EXPECT_THAT(refusal(""), testing::HasSubstr("'' is not a metric name"));
  EXPECT_THAT(refusal("MAP"), testing::HasSubstr("'MAP' is not a metric name"));
}

TEST(MetricRegistry, EveryEntryFileIsListed) {
  const std::filesystem::path folder = std::filesystem::path(GAUNTLET_SOURCE_DIR) / "core/metrics";
  const std::vector<std::string> names = metric_registry().names();
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    if (file.path().extension() != ".cpp") continue;
    std::ifstream stream(file.path());
    std::stringstream text;
    text << stream.rdbuf();
    if (text.str().find("constinit const MetricEntry") == std::string::npos) continue;
    EXPECT_THAT(names, testing::Contains(file.path().stem().string())) << "missing in metrics.def";
  }
}

TEST(MetricRegistry, EveryEntryDescribesItself) {
  for (const MetricEntry* entry : metric_registry().entries()) {
    const Json described = describe(entry->about);
    EXPECT_FALSE(described["summary"].get<std::string>().empty());
    EXPECT_FALSE(described["reference"].get<std::string>().empty());
    EXPECT_EQ(described["fields"], Json::array());
  }
}

}  // namespace
}  // namespace gauntlet::metrics
