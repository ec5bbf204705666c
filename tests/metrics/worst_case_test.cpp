// The reduction over attacks: worst per query, not the best attack; nothing depends on the order of members.
#include "core/metrics/worst_case.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "tests/metrics/random_case.hpp"

namespace gauntlet::metrics {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using Values = std::vector<std::vector<double>>;

const std::vector<std::uint8_t> kAll = {1, 1, 1, 1};

TEST(ReduceWorst, TakesTheMeanOfMinimaAndNotTheLeastMean) {
  const Values values = {{0.9, 0.9, 0.8, 0.8}, {0.1, 0.9, 0.8, 0.5}, {0.9, 0.2, 0.7, 0.5}};
  const Reduction reduced = reduce_worst(values, true, kAll);
  EXPECT_THAT(reduced.worst, ElementsAre(0.1, 0.2, 0.7, 0.5));
  EXPECT_THAT(reduced.chosen, ElementsAre(1, 2, 2, 1));
  EXPECT_THAT(reduced.share, ElementsAre(0.0, 0.5, 0.75));  // the last query is both's
  EXPECT_THAT(reduced.rise, ElementsAre(0.0, DoubleNear(0.8 / 4, 1e-12), DoubleNear((0.7 + 0.1) / 4, 1e-12)));
  EXPECT_THAT(reduced.mean,
              ElementsAre(DoubleNear(0.85, 1e-12), DoubleNear(0.575, 1e-12), DoubleNear(0.575, 1e-12)));
  const double worst = std::accumulate(reduced.worst.begin(), reduced.worst.end(), 0.0) / 4;
  EXPECT_LT(worst, *std::min_element(reduced.mean.begin(), reduced.mean.end()));
}

TEST(ReduceWorst, TakesTheLargestWhereLowerIsBetter) {
  const Reduction reduced =
      reduce_worst(Values{{0.1, 0.4}, {0.3, 0.2}}, false, std::vector<std::uint8_t>{1, 1});
  EXPECT_THAT(reduced.worst, ElementsAre(0.3, 0.4));
  EXPECT_THAT(reduced.rise, ElementsAre(DoubleNear(0.1, 1e-12), DoubleNear(0.1, 1e-12)));
}

TEST(ReduceWorst, LeavesQueriesWithoutRelevantItemsOutOfShares) {
  const Reduction reduced = reduce_worst(Values{{0.5, 0}, {0.4, 0}}, true, std::vector<std::uint8_t>{1, 0});
  EXPECT_THAT(reduced.share, ElementsAre(0.0, 1.0));
}

TEST(ReduceWorst, OneMemberAloneIsItsOwnWorst) {
  const Reduction reduced = reduce_worst(Values{{0.5, 0.25}}, true, std::vector<std::uint8_t>{1, 1});
  EXPECT_THAT(reduced.worst, ElementsAre(0.5, 0.25));
  EXPECT_THAT(reduced.share, ElementsAre(1.0));
  EXPECT_THAT(reduced.rise, ElementsAre(0.0));
}

Values random_values(std::uint64_t seed, std::size_t n_members, std::size_t n_queries) {
  RandomStream stream(seed);
  Values values(n_members, std::vector<double>(n_queries));
  for (std::vector<double>& member : values) {
    for (double& value : member) value = stream.below(8) / 8.0;  // with ties
  }
  return values;
}

TEST(ReduceWorst, DoesNotDependOnTheOrderOfMembersAndNeverRisesWithOneMore) {
  const std::vector<std::uint8_t> counted(50, 1);
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Values values = random_values(seed, 6, 50);
    const Reduction whole = reduce_worst(values, true, counted);
    std::vector<std::size_t> order = {3, 5, 0, 2, 4, 1};
    Values permuted;
    for (const std::size_t member : order) permuted.push_back(values[member]);
    const Reduction other = reduce_worst(permuted, true, counted);
    EXPECT_EQ(other.worst, whole.worst);
    for (std::size_t at = 0; at < order.size(); ++at) {
      EXPECT_EQ(other.share[at], whole.share[order[at]]);
      EXPECT_NEAR(other.rise[at], whole.rise[order[at]], 1e-12);
    }
    for (std::size_t left_out = 0; left_out < 6; ++left_out) {
      Values fewer = values;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(left_out));
      const Reduction without = reduce_worst(fewer, true, counted);
      double rise = 0;
      for (std::size_t query = 0; query < 50; ++query) {
        EXPECT_GE(without.worst[query], whole.worst[query]);
        rise += (without.worst[query] - whole.worst[query]) / 50;
      }
      EXPECT_NEAR(whole.rise[left_out], rise, 1e-12) << seed << " without " << left_out;
    }
  }
}

class EvaluateWorst : public testing::Test {
 protected:
  EvaluateWorst() {
    for (std::uint64_t seed = 21; seed < 24; ++seed) {
      codes.push_back(Case::pack(random_case(seed, 30, 200, 16, 5).query_codes, 16));
    }
  }
  [[nodiscard]] WorstCase run(const std::vector<std::size_t>& members,
                              const std::vector<std::string>& metrics = {"map", "t_map", "precision@10",
                                                                         "pr"}) {
    std::vector<WorstMember> list;
    for (const std::size_t member : members) list.push_back({fmt::format("m{}", member), &codes[member]});
    Result<WorstCase> worst = evaluate_worst(input, list, metrics, 2);
    EXPECT_TRUE(worst) << (worst ? "" : worst.error().message);
    return worst ? *worst : WorstCase{};
  }
  [[nodiscard]] Evaluation alone(std::size_t member) const {
    const std::vector<std::string> names = {"map", "t_map", "precision@10", "pr"};
    return evaluate({codes[member], items, own, item_labels, &targets}, names, 1).value();
  }

  Case drawn = random_case(20, 30, 200, 16, 5);
  std::vector<PackedCodes> codes;
  PackedCodes items = Case::pack(drawn.retrieval_codes, 16);
  LabelSets own = drawn.sets(drawn.query_labels);
  LabelSets item_labels = drawn.sets(drawn.retrieval_labels);
  LabelSets targets = drawn.sets(drawn.target_labels);
  PackedCodes unused = Case::pack(drawn.query_codes, 16);
  EvaluationInput input{unused, items, own, item_labels, &targets};
};

TEST_F(EvaluateWorst, ReducesEveryMetricByItsOwnValues) {
  const WorstCase worst = run({0, 1, 2});
  ASSERT_EQ(worst.evaluation.metrics.size(), 4U);
  for (std::size_t metric = 0; metric < 3; ++metric) {
    const MetricValue& value = worst.evaluation.metrics[metric];
    for (std::size_t query = 0; query < 30; ++query) {
      double expected = alone(0).metrics[metric].per_query[query];
      for (std::size_t member = 1; member < 3; ++member) {
        const double other = alone(member).metrics[metric].per_query[query];
        expected = value.higher_is_better ? std::min(expected, other) : std::max(expected, other);
      }
      EXPECT_EQ(value.per_query[query], expected) << value.name;
    }
  }
  EXPECT_FALSE(worst.evaluation.metrics[1].higher_is_better);
  EXPECT_EQ(worst.of_first[0].value, alone(0).metrics[0].value);
  const MetricValue& map = worst.evaluation.metrics[0];
  const double sum = std::accumulate(map.per_query.begin(), map.per_query.end(), 0.0);
  const auto n_valid = std::count(map.has_relevant.begin(), map.has_relevant.end(), 1);
  EXPECT_NEAR(map.value, sum / 30, 1e-15);
  EXPECT_NEAR(map.valid, sum / static_cast<double>(n_valid), 1e-15);
}

TEST_F(EvaluateWorst, DrawsCurvesFromTheCodesThatMapChooses) {
  const WorstCase worst = run({0, 1, 2});
  std::vector<int> values;
  for (std::int64_t query = 0; query < 30; ++query) {
    const PackedCodes& from = codes[worst.map.chosen[static_cast<std::size_t>(query)]];
    for (int bit = 0; bit < 16; ++bit) values.push_back((from.row(query)[0] >> bit & 1) != 0 ? 1 : -1);
  }
  const PackedCodes chosen = Case::pack(values, 16);
  const std::vector<std::string> names = {"pr"};
  const Evaluation expected = evaluate({chosen, items, own, item_labels, &targets}, names, 1).value();
  const MetricValue& pr = worst.evaluation.metrics.back();
  EXPECT_EQ(pr.value, expected.metrics[0].value);
  ASSERT_EQ(pr.curves.size(), 1U);
  EXPECT_EQ(pr.curves[0].y, expected.metrics[0].curves[0].y);
  EXPECT_NE(pr.value, alone(0).metrics[3].value);
}

TEST_F(EvaluateWorst, IsTheSameForEveryOrderOfMembers) {
  const WorstCase one = run({0, 1, 2});
  const WorstCase other = run({2, 0, 1});
  for (std::size_t metric = 0; metric < 4; ++metric) {
    EXPECT_EQ(one.evaluation.metrics[metric].per_query, other.evaluation.metrics[metric].per_query);
    EXPECT_EQ(one.evaluation.metrics[metric].value, other.evaluation.metrics[metric].value);
  }
}

TEST_F(EvaluateWorst, ChoosesByMapEvenWhenItIsNotAskedFor) {
  const WorstCase worst = run({0, 1, 2}, {"pr"});
  ASSERT_EQ(worst.evaluation.metrics.size(), 1U);
  EXPECT_EQ(worst.map.worst, run({0, 1, 2}).evaluation.metrics[0].per_query);
  EXPECT_EQ(worst.evaluation.metrics[0].value, run({0, 1, 2}).evaluation.metrics.back().value);
}

TEST_F(EvaluateWorst, OfOneMemberIsItsEvaluation) {
  const WorstCase worst = run({1});
  for (std::size_t metric = 0; metric < 4; ++metric) {
    EXPECT_DOUBLE_EQ(worst.evaluation.metrics[metric].value, alone(1).metrics[metric].value);
  }
}

}  // namespace
}  // namespace gauntlet::metrics
