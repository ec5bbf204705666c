// What follows from values per query: intervals by resampling, means by class. And items that arrive in
// pieces.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <numeric>

#include "core/metrics/bootstrap.hpp"
#include "core/metrics/per_class.hpp"
#include "tests/metrics/random_case.hpp"

namespace gauntlet::metrics {
namespace {

Evaluation evaluation_of(const std::vector<double>& values, const std::vector<std::uint8_t>& has_relevant) {
  Evaluation evaluation;
  evaluation.n_queries = static_cast<std::int64_t>(values.size());
  MetricValue metric;
  metric.name = "map";
  metric.per_query = values;
  metric.has_relevant = has_relevant;
  evaluation.metrics.push_back(metric);
  return evaluation;
}

TEST(Bootstrap, EqualSeedsGiveEqualIntervalsOnAnyNumberOfThreads) {
  const Evaluation evaluation = random_case(5, 200, 300, 16, 5).run({"map", "pr", "precision@20"});
  const std::vector<MetricInterval> one = bootstrap(evaluation, {.n_resamples = 300, .seed = 9});
  const std::vector<MetricInterval> three =
      bootstrap(evaluation, {.n_resamples = 300, .seed = 9, .n_threads = 3});
  const std::vector<MetricInterval> other = bootstrap(evaluation, {.n_resamples = 300, .seed = 10});
  ASSERT_EQ(one.size(), 3U);
  for (std::size_t metric = 0; metric < 3; ++metric) {
    EXPECT_EQ(one[metric].value.low, three[metric].value.low);
    EXPECT_EQ(one[metric].valid.high, three[metric].valid.high);
  }
  EXPECT_NE(one[0].value.low, other[0].value.low);
  EXPECT_LT(one[0].value.low, evaluation.metrics[0].value);
  EXPECT_GT(one[0].value.high, evaluation.metrics[0].value);
  EXPECT_EQ(one[1].value.high, 0) << "a curve has no values per query";
}

TEST(Bootstrap, IntervalsHaveTheWidthThatTheoryGives) {
  // 400 values of 0 and 1, half of each: the standard error of the mean is 1/40.
  std::vector<double> values(400);
  for (std::size_t query = 0; query < values.size(); ++query) values[query] = static_cast<double>(query % 2);
  const Evaluation evaluation = evaluation_of(values, std::vector<std::uint8_t>(400, 1));
  const Interval wide = bootstrap(evaluation, {.n_resamples = 4000, .confidence = 0.95})[0].value;
  EXPECT_NEAR(wide.low, 0.5 - 1.96 / 40, 0.004);
  EXPECT_NEAR(wide.high, 0.5 + 1.96 / 40, 0.004);
  const Interval narrow = bootstrap(evaluation, {.n_resamples = 4000, .confidence = 0.5})[0].value;
  EXPECT_NEAR(narrow.high - narrow.low, 2 * 0.6745 / 40, 0.004);
}

TEST(Bootstrap, ValidMeansLeaveOutQueriesWithoutRelevantItems) {
  const Evaluation evaluation = evaluation_of({0.5, 0, 0.5, 0, 0.5, 0, 0.5, 0}, {1, 0, 1, 0, 1, 0, 1, 0});
  const MetricInterval interval = bootstrap(evaluation, {.n_resamples = 500, .confidence = 0.9})[0];
  EXPECT_EQ(interval.valid.low, 0.5);
  EXPECT_EQ(interval.valid.high, 0.5);
  EXPECT_LT(interval.value.low, 0.25);
  EXPECT_GT(interval.value.high, 0.25);
}

TEST(PerClass, MeansOverTheQueriesOfEachLabel) {
  const std::vector<std::uint8_t> values = {1, 0, 0, 1, 0, 1, 0, 0, 0};
  const LabelSets labels = LabelSets::from_values(std::span<const std::uint8_t>(values), 3).value();
  const MetricValue metric = evaluation_of({0.2, 0.6, 0.9}, {1, 1, 1}).metrics[0];
  const std::vector<ClassMean> classes = per_class(metric, labels);
  ASSERT_EQ(classes.size(), 2U) << "no query carries label 1";
  EXPECT_EQ(classes[0].label, 0);
  EXPECT_EQ(classes[0].n_queries, 2);
  EXPECT_DOUBLE_EQ(classes[0].value, 0.4);
  EXPECT_EQ(classes[1].label, 2);
  EXPECT_DOUBLE_EQ(classes[1].value, 0.6);
  EXPECT_TRUE(per_class(MetricValue{}, labels).empty());
}

TEST(PerClass, QueriesWithoutRelevantItemsCountZeroAndAreLeftOutOfValid) {
  const std::vector<std::int64_t> all_one = {0, 0, 0, 0};
  const LabelSets labels = LabelSets::from_classes(all_one, 1).value();
  const ClassMean mean = per_class(evaluation_of({0.4, 0, 0.8, 0}, {1, 0, 1, 0}).metrics[0], labels).at(0);
  EXPECT_EQ(mean.n_valid, 2);
  EXPECT_DOUBLE_EQ(mean.value, 0.3);
  EXPECT_DOUBLE_EQ(mean.valid, 0.6);
}

/// Items that are copied for every piece, as from a file, and may fail at one row.
class CopiedItems final : public RetrievalItems {
 public:
  CopiedItems(const PackedCodes& codes, const LabelSets& labels, std::int64_t bad_row = -1)
      : codes_(codes), labels_(labels), bad_row_(bad_row) {}
  [[nodiscard]] std::int64_t n() const override { return codes_.n(); }
  [[nodiscard]] std::int64_t bits() const override { return codes_.bits(); }
  [[nodiscard]] std::int64_t n_labels() const override { return labels_.n_labels(); }
  [[nodiscard]] Result<ItemRows> rows(std::int64_t first, std::int64_t n, ItemScratch&) const override {
    if (bad_row_ >= first && bad_row_ < first + n)
      return fail(ErrorCode::kInvalid, "row {} is bad", bad_row_);
    most_rows = std::max<std::int64_t>(most_rows, n);
    return ItemRows{codes_.rows(first, n), labels_.rows(first, n)};
  }
  mutable std::atomic<std::int64_t> most_rows = 0;

 private:
  const PackedCodes& codes_;
  const LabelSets& labels_;
  std::int64_t bad_row_;
};

TEST(Blocks, PiecesAreSmallAndGiveWhatTheWholeGives) {
  const Case drawn = random_case(31, 3, 140'000, 10, 6);
  const PackedCodes queries = Case::pack(drawn.query_codes, 10);
  const PackedCodes items = Case::pack(drawn.retrieval_codes, 10);
  const LabelSets own = drawn.sets(drawn.query_labels);
  const LabelSets labels = drawn.sets(drawn.retrieval_labels);
  const std::vector<std::string> names = {"map", "map/stable", "precision@100/stable", "ndcg@50/stable",
                                          "wap"};
  const CopiedItems source(items, labels);
  const Evaluation got = evaluate({queries, own}, source, names, {.n_threads = 2}).value();
  EXPECT_LE(source.most_rows, 4096);
  std::int64_t n_relevant = 0;
  for (std::int64_t query = 0; query < 3; ++query) {
    std::vector<int> distances;
    std::vector<bool> relevant;
    naive(drawn, query, distances, relevant, drawn.query_labels);
    n_relevant += std::count(relevant.begin(), relevant.end(), true);
    std::vector<std::size_t> order(distances.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return distances[a] < distances[b]; });
    double hits = 0, sum = 0;
    for (std::size_t rank = 0; rank < order.size(); ++rank) {
      if (!relevant[order[rank]]) continue;
      hits += 1;
      sum += hits / static_cast<double>(rank + 1);
    }
    EXPECT_NEAR(got.metrics[1].per_query[static_cast<std::size_t>(query)], sum / hits, 1e-11);
  }
  EXPECT_NEAR(got.chance_map, static_cast<double>(n_relevant) / 3 / 140'000, 1e-12);
}

TEST(Blocks, TheFirstRefusalOfTheItemsIsTheAnswer) {
  const Case drawn = random_case(32, 1, 70'000, 4, 2);
  const PackedCodes items = Case::pack(drawn.retrieval_codes, 4);
  const PackedCodes queries = Case::pack(drawn.query_codes, 4);
  const LabelSets labels = drawn.sets(drawn.retrieval_labels);
  const LabelSets own = drawn.sets(drawn.query_labels);
  const std::vector<std::string> names = {"map"};
  const Result<Evaluation> refused =
      evaluate({queries, own}, CopiedItems(items, labels, 69'000), names, {.n_threads = 4});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "row 69000 is bad");
}

/// Sizes alone, to see what is refused before anything is read.
class ManyItems final : public RetrievalItems {
 public:
  [[nodiscard]] std::int64_t n() const override { return 4'000'000'000; }
  [[nodiscard]] std::int64_t bits() const override { return 4; }
  [[nodiscard]] std::int64_t n_labels() const override { return 2; }
  [[nodiscard]] Result<ItemRows> rows(std::int64_t, std::int64_t, ItemScratch&) const override {
    return fail(ErrorCode::kIo, "read");
  }
};

TEST(Blocks, StableOrdersBeyondMemoryAreRefusedWithTheirSize) {
  const Case drawn = random_case(33, 40, 1, 4, 2);
  const PackedCodes queries = Case::pack(drawn.query_codes, 4);
  const LabelSets own = drawn.sets(drawn.query_labels);
  const std::vector<std::string> stable = {"map/stable"};
  const std::vector<std::string> expected = {"map"};
  const Error refused = evaluate({queries, own}, ManyItems(), stable, {}).error();
  EXPECT_EQ(refused.code, ErrorCode::kOutOfMemory);
  EXPECT_EQ(refused.message,
            "stable orders of 40 queries over 4000000000 items need 18.6 GiB; at most 16 are allowed: use "
            "expected ties, or fewer queries at a time");
  EXPECT_EQ(evaluate({queries, own}, ManyItems(), expected, {}).error().message, "read");
}

}  // namespace
}  // namespace gauntlet::metrics
