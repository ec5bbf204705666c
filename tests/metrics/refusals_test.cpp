// What refused queries are worth, and how well a detector's scores tell attacked queries from clean ones.
#include "core/metrics/refusals.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "core/metrics/worst_case.hpp"
#include "tests/metrics/random_case.hpp"

namespace gauntlet::metrics {
namespace {

using testing::ElementsAre;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(Refusals, AreScoresAboveZeroAndThoseThatAreNone) {
  const std::vector<float> scores = {-1, 0, 1e-9F, kNan};
  EXPECT_THAT(refused(scores), ElementsAre(0, 0, 1, 1));
}

TEST(Refusals, TheDetectionOfEveryThreshold) {
  const std::vector<float> clean = {-2, -1, 0.5F, -1}, attacked = {1, -1, 3, kNan};
  const Detection found = detection(clean, attacked);
  EXPECT_EQ(found.refused_clean, 0.25);
  EXPECT_EQ(found.refused_attacked, 0.75);
  // Pairs: 3 of the attacked ones above all four; -1 above one, equal to two, below one.
  EXPECT_NEAR(found.area, (12 + 1 + 2 * 0.5) / 16, 1e-12);
  EXPECT_EQ(found.roc.x.front(), 0);
  EXPECT_EQ(found.roc.y.front(), 0);
  EXPECT_EQ(found.roc.x.back(), 1);
  EXPECT_EQ(found.roc.y.back(), 1);
  const std::vector<float> same = {0.5F, 0.25F};
  EXPECT_NEAR(detection(same, same).area, 0.5, 1e-12);
}

TEST(Refusals, TheAreaIsTheShareOfPairsInOrder) {
  RandomStream stream(3);
  for (int round = 0; round < 50; ++round) {
    std::vector<float> clean(1 + stream.below(9)), attacked(1 + stream.below(9));
    for (float& score : clean) score = static_cast<float>(stream.below(5)) - 2;
    for (float& score : attacked) score = static_cast<float>(stream.below(5)) - 1;
    double pairs = 0;
    for (const float a : attacked) {
      for (const float c : clean) pairs += a > c ? 1 : a == c ? 0.5 : 0;
    }
    const Detection found = detection(clean, attacked);
    EXPECT_NEAR(found.area, pairs / static_cast<double>(clean.size() * attacked.size()), 1e-12);
    EXPECT_TRUE(std::ranges::is_sorted(found.roc.x) && std::ranges::is_sorted(found.roc.y));
  }
}

TEST(Refusals, ARefusedQueryHasAListWithoutItems) {
  std::vector<MetricValue> metrics(3);
  metrics[0].per_query = {1, 0.5, 0.75, 0};
  metrics[0].has_relevant = {1, 1, 1, 0};
  metrics[1].value = 0.5;  // a curve's
  metrics[2].name = "chance_map";
  metrics[2].value = 0.5;
  metrics[2].per_query = {0.5, 0.5, 0.75, 0.25};
  metrics[2].has_relevant = {1, 1, 1, 1};
  count_refused(std::vector<std::uint8_t>{0, 0, 1, 1}, metrics);
  EXPECT_THAT(metrics[0].per_query, ElementsAre(1, 0.5, 0, 0));
  EXPECT_EQ(metrics[0].value, 1.5 / 4);
  EXPECT_EQ(metrics[0].valid, 1.5 / 3);
  EXPECT_EQ(metrics[1].value, 0.5);
  // What a random order is worth does not depend on who is answered.
  EXPECT_THAT(metrics[2].per_query, ElementsAre(0.5, 0.5, 0.75, 0.25));
  EXPECT_EQ(metrics[2].value, 0.5);
}

class RefusedQueries : public testing::Test {
 protected:
  static constexpr std::size_t kQueries = 8;
  Case drawn = random_case(5, kQueries, 60, 16, 3);
  PackedCodes clean = Case::pack(drawn.query_codes, 16);
  PackedCodes attacked = Case::pack(random_case(6, kQueries, 60, 16, 3).query_codes, 16);
  PackedCodes items = Case::pack(drawn.retrieval_codes, 16);
  LabelSets own = drawn.sets(drawn.query_labels);
  LabelSets item_labels = drawn.sets(drawn.retrieval_labels);
  LabelSets targets = drawn.sets(drawn.target_labels);
  EvaluationInput input{clean, items, own, item_labels, &targets};
  std::vector<std::string> names = {"map", "t_map", "pr"};

  [[nodiscard]] std::vector<double> scores(const PackedCodes& codes, std::size_t metric) const {
    return evaluate({codes, items, own, item_labels, &targets}, names, 1)->metrics[metric].per_query;
  }
};

TEST_F(RefusedQueries, InTheWorstCaseAnAttackThatIsRefusedIsTheCleanQuery) {
  const std::vector<std::uint8_t> refused_clean = {1, 0, 0, 0, 0, 0, 0, 0};
  const std::vector<std::uint8_t> refused_attack = {1, 1, 0, 1, 0, 0, 1, 0};
  const PackedCodes codes = *answered_codes(attacked, clean, refused_attack);
  const std::vector<WorstMember> members = {{"clean", &clean, refused_clean},
                                            {"attack", &codes, refused_attack}};
  const auto worst = evaluate_worst(input, members, names, 1);
  ASSERT_TRUE(worst) << worst.error().message;
  for (const std::size_t metric : {0U, 1U}) {
    const bool is_targeted = metric == 1;
    const std::vector<double> before = scores(clean, metric), after = scores(attacked, metric);
    EXPECT_EQ(worst->of_first[metric].per_query[0], 0);
    for (std::size_t query = 0; query < kQueries; ++query) {
      const double first = query == 0 ? 0 : before[query];
      const double second = refused_attack[query] != 0 ? first : after[query];
      EXPECT_NEAR(worst->evaluation.metrics[metric].per_query[query],
                  is_targeted ? std::max(first, second) : std::min(first, second), 1e-12)
          << names[metric] << " of query " << query;
    }
  }
  ASSERT_EQ(worst->evaluation.metrics.size(), 3U);
  EXPECT_EQ(worst->evaluation.metrics[2].n_queries, 7);  // the curve is of those that were answered
}

TEST_F(RefusedQueries, WhoRefusesEverythingFindsNothing) {
  const std::vector<std::uint8_t> all(kQueries, 1);
  const std::vector<WorstMember> members = {{"clean", &clean, all}, {"attack", &clean, all}};
  const auto nothing = evaluate_worst(input, members, names, 1);
  ASSERT_TRUE(nothing) << nothing.error().message;
  ASSERT_EQ(nothing->evaluation.metrics.size(), 2U);  // no query is left that a curve could be of
  EXPECT_EQ(nothing->evaluation.metrics[0].value, 0);
  EXPECT_FALSE(evaluate_answered(input, all, names, 1));
}

TEST_F(RefusedQueries, CodesThatDoNotGoTogetherAreTold) {
  const PackedCodes fewer = Case::pack(random_case(5, 7, 60, 16, 3).query_codes, 16);
  EXPECT_FALSE(answered_codes(clean, fewer, std::vector<std::uint8_t>(8)));
  EXPECT_FALSE(answered_codes(clean, clean, std::vector<std::uint8_t>(7)));
}

}  // namespace
}  // namespace gauntlet::metrics
