// Worked examples, in exact fractions: a ranking without ties, one with ties, and three queries end to end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/metrics/evaluate.hpp"

namespace gauntlet::metrics {
namespace {

constexpr double kTolerance = 1e-12;

/// Codes written as text, first bit first, one item per entry.
PackedCodes codes_of(const std::vector<std::string>& rows) {
  std::vector<int> values;
  for (const std::string& row : rows) {
    for (const char bit : row) values.push_back(bit == '1' ? 1 : -1);
  }
  return PackedCodes::from_values(std::span<const int>(values), static_cast<std::int64_t>(rows[0].size()))
      .value();
}

LabelSets labels_of(const std::vector<std::vector<int>>& sets, int n_labels) {
  std::vector<std::uint8_t> values(sets.size() * static_cast<std::size_t>(n_labels), 0);
  for (std::size_t item = 0; item < sets.size(); ++item) {
    for (const int label : sets[item])
      values[item * static_cast<std::size_t>(n_labels) + static_cast<std::size_t>(label)] = 1;
  }
  return LabelSets::from_values(std::span<const std::uint8_t>(values), n_labels).value();
}

/// One query with code 0…0 whose ranking has these classes: class d holds items[d] items, relevant[d] of them
/// relevant.
double value_of_classes(const std::vector<int>& items, const std::vector<int>& relevant,
                        const std::string& metric) {
  const std::size_t bits = items.size();
  std::vector<std::string> rows;
  std::vector<std::vector<int>> labels;
  for (std::size_t d = 0; d < bits; ++d) {
    for (int item = 0; item < items[d]; ++item) {
      rows.push_back(std::string(d, '1') + std::string(bits - d, '0'));
      labels.push_back({item < items[d] - relevant[d] ? 1 : 0});  // relevant ones last in the file
    }
  }
  const PackedCodes query = codes_of({std::string(bits, '0')});
  const PackedCodes retrieval = codes_of(rows);
  const LabelSets query_labels = labels_of({{0}}, 2);
  const LabelSets retrieval_labels = labels_of(labels, 2);
  const std::vector<std::string> names = {metric};
  const Result<Evaluation> evaluation =
      evaluate({query, retrieval, query_labels, retrieval_labels}, names, 1);
  EXPECT_TRUE(evaluation) << metric << ": " << (evaluation ? "" : evaluation.error().message);
  return evaluation ? evaluation->metrics[0].value : -1;
}

struct AtK {
  int k;
  double first_relevant;
  double topk_hits;
  double topk_ir;
};

void expect_at(const std::vector<int>& items, const std::vector<int>& relevant, const AtK& row,
               const std::string& ties) {
  const auto name = [&](const std::string& kind) { return fmt::format("map@{}:{}{}", row.k, kind, ties); };
  EXPECT_NEAR(value_of_classes(items, relevant, name("first_relevant")), row.first_relevant, kTolerance)
      << row.k << ties;
  EXPECT_NEAR(value_of_classes(items, relevant, name("topk_hits")), row.topk_hits, kTolerance)
      << row.k << ties;
  EXPECT_NEAR(value_of_classes(items, relevant, name("topk_ir")), row.topk_ir, kTolerance) << row.k << ties;
}

TEST(GoldenA, NoTiesGivesOneValueUnderEveryRule) {
  const std::vector<int> items(8, 1);
  const std::vector<int> relevant = {1, 0, 0, 1, 0, 1, 0, 0};
  for (const std::string ties : {"", "/stable", "/best", "/worst"}) {
    EXPECT_NEAR(value_of_classes(items, relevant, "map" + ties), 2.0 / 3, kTolerance) << ties;
    expect_at(items, relevant, {2, 3.0 / 4, 1.0, 1.0 / 2}, ties);
    expect_at(items, relevant, {4, 2.0 / 3, 3.0 / 4, 1.0 / 2}, ties);
    expect_at(items, relevant, {5, 2.0 / 3, 3.0 / 4, 1.0 / 2}, ties);
    expect_at(items, relevant, {8, 2.0 / 3, 2.0 / 3, 2.0 / 3}, ties);
  }
}

TEST(GoldenB, TiesAreAveragedExactly) {
  const std::vector<int> items = {1, 3, 2, 2};
  const std::vector<int> relevant = {1, 1, 1, 0};
  EXPECT_NEAR(value_of_classes(items, relevant, "map"), 409.0 / 540, kTolerance);
  EXPECT_NEAR(value_of_classes(items, relevant, "map/best"), 13.0 / 15, kTolerance);
  EXPECT_NEAR(value_of_classes(items, relevant, "map/worst"), 2.0 / 3, kTolerance);
  EXPECT_NEAR(value_of_classes(items, relevant, "map/stable"), 2.0 / 3,
              kTolerance);  // relevant ones stand last in the file
  expect_at(items, relevant, {1, 1.0, 1.0, 1.0}, "");
  expect_at(items, relevant, {2, 31.0 / 36, 1.0, 2.0 / 3}, "");
  expect_at(items, relevant, {3, 409.0 / 540, 17.0 / 18, 14.0 / 27}, "");
  expect_at(items, relevant, {4, 409.0 / 540, 31.0 / 36, 31.0 / 54}, "");
  expect_at(items, relevant, {5, 409.0 / 540, 883.0 / 1080, 91.0 / 135}, "");
}

class GoldenC : public testing::Test {
 protected:
  [[nodiscard]] Evaluation run(const std::vector<std::string>& names) const {
    Result<Evaluation> evaluation =
        evaluate({queries, retrieval, query_labels, retrieval_labels, &targets}, names, 2);
    EXPECT_TRUE(evaluation) << (evaluation ? "" : evaluation.error().message);
    return evaluation ? *evaluation : Evaluation{};
  }
  void expect(const std::string& name, double q0, double q1, double q2) const {
    const Evaluation evaluation = run({name});
    ASSERT_EQ(evaluation.metrics.size(), 1U) << name;
    const std::vector<double>& got = evaluation.metrics[0].per_query;
    ASSERT_EQ(got.size(), 3U) << name;
    EXPECT_NEAR(got[0], q0, kTolerance) << name;
    EXPECT_NEAR(got[1], q1, kTolerance) << name;
    EXPECT_NEAR(got[2], q2, kTolerance) << name;
  }

  PackedCodes queries = codes_of({"1011", "0010", "1100"});
  PackedCodes retrieval = codes_of({"1011", "1111", "0011", "0000", "1010", "0110", "1001", "0100"});
  LabelSets query_labels = labels_of({{0}, {1, 2}, {3}}, 4);
  LabelSets retrieval_labels = labels_of({{0, 1}, {2}, {0}, {1}, {0, 2}, {1, 2}, {2}, {0, 1, 2}}, 4);
  LabelSets targets = labels_of({{2}, {0}, {1}}, 4);
};

TEST_F(GoldenC, AveragePrecisionOfEachQuery) {
  expect("map", 34.0 / 45, 9889.0 / 11760, 0);
  expect("map/stable", 35.0 / 48, 1479.0 / 1960, 0);
  expect("map/worst", 13.0 / 20, 1479.0 / 1960, 0);
  expect("map/best", 7.0 / 8, 5347.0 / 5880, 0);
}

TEST_F(GoldenC, AveragePrecisionAtThree) {
  expect("map@3:first_relevant", 227.0 / 270, 121.0 / 144, 0);
  expect("map@3:first_relevant/stable", 29.0 / 36, 23.0 / 36, 0);
  expect("map@3:topk_hits", 17.0 / 18, 41.0 / 48, 0);
  expect("map@3:topk_hits/stable", 5.0 / 6, 7.0 / 12, 0);
  expect("map@3:topk_ir", 17.0 / 27, 47.0 / 72, 0);
  expect("map@3:topk_ir/stable", 5.0 / 9, 7.0 / 18, 0);
}

TEST_F(GoldenC, MeansOverAllAndOverValidQueries) {
  const Evaluation evaluation = run({"map", "map/stable"});
  EXPECT_EQ(evaluation.n_queries, 3);
  EXPECT_EQ(evaluation.n_retrieval, 8);
  EXPECT_EQ(evaluation.bits, 4);
  EXPECT_EQ(evaluation.n_without_relevant, 1);
  EXPECT_NEAR(evaluation.chance_map, (4.0 + 7.0 + 0.0) / 24, kTolerance);
  EXPECT_NEAR(evaluation.metrics[0].value, 56323.0 / 105840, kTolerance);
  EXPECT_NEAR(evaluation.metrics[0].valid, 56323.0 / 105840 * 1.5, kTolerance);
  EXPECT_EQ(evaluation.metrics[0].n_without_relevant, 1);
  EXPECT_NEAR(evaluation.metrics[1].value, 17449.0 / 35280, kTolerance);
  EXPECT_NEAR(evaluation.metrics[1].valid, 17449.0 / 35280 * 1.5, kTolerance);
}

TEST_F(GoldenC, DiscountedGain) {
  constexpr double kSixDigits = 5e-7;
  const Evaluation evaluation = run({"ndcg@3", "ndcg@3/stable"});
  EXPECT_NEAR(evaluation.metrics[0].per_query[0], 0.734639, kSixDigits);
  EXPECT_NEAR(evaluation.metrics[0].per_query[1], 0.493930, kSixDigits);
  EXPECT_NEAR(evaluation.metrics[1].per_query[0], 0.703918, kSixDigits);
  EXPECT_NEAR(evaluation.metrics[1].per_query[1], 0.209711, kSixDigits);
  EXPECT_NEAR(evaluation.metrics[0].valid, (0.734639 + 0.493930) / 2, kSixDigits) << "q2 is skipped";
  EXPECT_EQ(evaluation.metrics[0].n_without_relevant, 1);
}

TEST_F(GoldenC, RecallAndGainsInExactFractions) {
  expect("recall@3", 1.0 / 2, 9.0 / 28, 0);
  expect("recall@3/stable", 1.0 / 2, 2.0 / 7, 0);
  expect("acg@3", 2.0 / 3, 1, 0);
  expect("acg@3/stable", 2.0 / 3, 2.0 / 3, 0);
  expect("wap", 34.0 / 45, 19897.0 / 17640, 0);
  expect("wap/stable", 35.0 / 48, 1109.0 / 1176, 0);
}

TEST_F(GoldenC, PrecisionWithinARadius) {
  expect("precision_radius@1", 3.0 / 5, 3.0 / 4, 0);
  expect("precision_radius@4", 4.0 / 8, 7.0 / 8, 0);
}

TEST_F(GoldenC, TargetedMap) {
  expect("t_map", 1637.0 / 2800, 473.0 / 720, 2059.0 / 2800);
  expect("t_map/stable", 783.0 / 1400, 11.0 / 15, 149.0 / 210);
  const Evaluation evaluation = run({"t_map", "t_map/stable"});
  EXPECT_NEAR(evaluation.metrics[0].value, 7117.0 / 10800, kTolerance);
  EXPECT_EQ(evaluation.metrics[0].n_without_relevant, 0);
  EXPECT_FALSE(evaluation.metrics[0].higher_is_better);
  EXPECT_NEAR(evaluation.metrics[1].value, 2803.0 / 4200, kTolerance);
}

TEST_F(GoldenC, PrecisionAt) {
  const Evaluation evaluation = run({"precision@1", "precision@2", "precision@4", "precision@1/stable",
                                     "precision@2/stable", "precision@4/stable"});
  const double expected[] = {7.0 / 12, 1.0 / 2, 11.0 / 24, 1.0 / 3, 1.0 / 3, 1.0 / 2};
  ASSERT_EQ(evaluation.metrics.size(), std::size(expected));
  for (std::size_t at = 0; at < std::size(expected); ++at) {
    EXPECT_NEAR(evaluation.metrics[at].value, expected[at], kTolerance) << evaluation.metrics[at].name;
  }
}

void expect_curve(const spec::Curve& curve, const std::string& name,
                  const std::vector<std::pair<double, double>>& points) {
  EXPECT_EQ(curve.name, name);
  EXPECT_EQ(curve.x_label, "recall");
  EXPECT_EQ(curve.y_label, "precision");
  ASSERT_EQ(curve.x.size(), points.size());
  ASSERT_EQ(curve.y.size(), points.size());
  for (std::size_t at = 0; at < points.size(); ++at) {
    EXPECT_NEAR(curve.y[at], points[at].first, 1e-7) << name << " " << at;
    EXPECT_NEAR(curve.x[at], points[at].second, 1e-7) << name << " " << at;
  }
}

TEST_F(GoldenC, PrecisionRecallCurves) {
  const Evaluation evaluation = run({"pr", "pr:radius_macro"});
  const std::vector<spec::Curve> curves = curves_of(evaluation);
  ASSERT_EQ(curves.size(), 2U);
  expect_curve(
      curves[0], "pr:radius_micro",
      {{1, 1.0 / 11}, {3.0 / 5, 6.0 / 11}, {8.0 / 17, 8.0 / 11}, {5.0 / 11, 10.0 / 11}, {11.0 / 24, 1}});
  expect_curve(curves[1], "pr:radius_macro",
               {{1.0 / 3, 1.0 / 12},
                {9.0 / 20, 11.0 / 28},
                {43.0 / 90, 41.0 / 84},
                {73.0 / 168, 7.0 / 12},
                {11.0 / 24, 2.0 / 3}});
  const double area = 1.0 / 11 + (5.0 / 11) * (1 + 3.0 / 5) / 2 + (2.0 / 11) * (3.0 / 5 + 8.0 / 17) / 2 +
                      (2.0 / 11) * (8.0 / 17 + 5.0 / 11) / 2 + (1.0 / 11) * (5.0 / 11 + 11.0 / 24) / 2;
  EXPECT_NEAR(evaluation.metrics[0].value, area, kTolerance);
}

TEST_F(GoldenC, RowsCarryTheValidMeanAndItsCount) {
  const std::vector<spec::ResultRow> rows = rows_of(run({"map", "t_map/best", "map@3:topk_ir"}));
  std::vector<std::string> names;
  for (const spec::ResultRow& row : rows) names.push_back(row.metric);
  EXPECT_THAT(names,
              testing::ElementsAre("map", "map:valid", "t_map/best", "t_map:valid/best", "map@3:topk_ir"));
  EXPECT_EQ(rows[0].n, 3);
  EXPECT_EQ(rows[0].per_query.size(), 3U);
  EXPECT_EQ(rows[1].n, 2);
  EXPECT_NEAR(rows[1].value, 56323.0 / 105840 * 1.5, kTolerance);
  EXPECT_FALSE(rows[2].higher_is_better);
  EXPECT_EQ(rows[0].unit, "ratio");
}

/// q2 has no relevant item: NDCG, recall and WAP divide by nothing there, P@n and ACG do not.
TEST_F(GoldenC, WhatDividesByTheRelevantItemsHasAValidRow) {
  const std::vector<spec::ResultRow> rows =
      rows_of(run({"ndcg@3/stable", "recall@4", "wap", "acg@2", "precision@2"}));
  std::vector<std::string> names;
  for (const spec::ResultRow& row : rows) names.push_back(row.metric);
  EXPECT_THAT(names, testing::ElementsAre("ndcg@3/stable", "ndcg@3:valid/stable", "recall@4",
                                          "recall@4:valid", "wap", "wap:valid", "acg@2", "precision@2"));
  EXPECT_NEAR(rows[0].value, (0.703918 + 0.209711) / 3, 1e-6);
  EXPECT_NEAR(rows[1].value, (0.703918 + 0.209711) / 2, 1e-6);
  EXPECT_EQ(rows[0].n, 3);
  EXPECT_EQ(rows[1].n, 2);
  EXPECT_TRUE(rows[1].per_query.empty());
  EXPECT_EQ(rows[5].unit, "labels");
}

TEST_F(GoldenC, RepeatedNamesAreAnsweredOnce) {
  const Evaluation evaluation = run({"map", "map/expected", "map"});
  ASSERT_EQ(evaluation.metrics.size(), 1U);
  EXPECT_EQ(evaluation.metrics[0].name, "map");
}

}  // namespace
}  // namespace gauntlet::metrics
