// Larger random cases against sorting: fixed orders exactly, expected values against many shuffles of the
// ties.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/metrics/detail/first_hits.hpp"
#include "core/metrics/detail/harmonic.hpp"
#include "tests/metrics/definitions.hpp"

namespace gauntlet::metrics {
namespace {

const std::vector<std::string> kNames = {"map",
                                         "map@5:first_relevant",
                                         "map@300:first_relevant",
                                         "map@40:topk_hits",
                                         "map@700:topk_ir",
                                         "precision@33",
                                         "recall@500",
                                         "acg@100",
                                         "ndcg@64",
                                         "ndcg@5000",
                                         "wap"};

TEST(Sorted, FixedOrdersOfManyItems) {
  for (const std::int64_t bits : {3, 16, 65}) {
    const Case drawn = random_case(static_cast<std::uint64_t>(bits), 4, 2100, bits, 7);
    for (const Ties ties : {Ties::kStable, Ties::kBest, Ties::kWorst}) {
      std::vector<std::string> names;
      for (const std::string& name : kNames) names.push_back(fmt::format("{}/{}", name, name_of(ties)));
      const Evaluation evaluation = drawn.run(names);
      for (std::int64_t query = 0; query < drawn.n_queries; ++query) {
        const std::vector<int> ranked = sorted_grades(judged(drawn, query), ties);
        for (std::size_t metric = 0; metric < names.size(); ++metric) {
          EXPECT_NEAR(evaluation.metrics[metric].per_query[static_cast<std::size_t>(query)],
                      by_definition(MetricName::parse(names[metric]).value(), ranked), 1e-11)
              << names[metric] << " bits " << bits << " query " << query;
        }
      }
    }
  }
}

TEST(Sorted, ExpectedValuesAreTheMeanOfShuffles) {
  constexpr int kShuffles = 3000;
  const Case drawn = random_case(77, 1, 400, 6, 5);
  const Judged items = judged(drawn, 0);
  const Evaluation evaluation = drawn.run(kNames);
  std::vector<double> sums(kNames.size(), 0), squares(kNames.size(), 0);
  RandomStream stream(3);
  std::vector<std::size_t> order(items.distances.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (int shuffle = 0; shuffle < kShuffles; ++shuffle) {
    for (std::size_t at = order.size(); at > 1; --at)
      std::swap(order[at - 1], order[stream.below(static_cast<std::uint32_t>(at))]);
    Judged shuffled;
    for (const std::size_t item : order) {
      shuffled.distances.push_back(items.distances[item]);
      shuffled.grades.push_back(items.grades[item]);
    }
    const std::vector<int> ranked = sorted_grades(shuffled, Ties::kStable);
    for (std::size_t metric = 0; metric < kNames.size(); ++metric) {
      const double value = by_definition(MetricName::parse(kNames[metric]).value(), ranked);
      sums[metric] += value;
      squares[metric] += value * value;
    }
  }
  for (std::size_t metric = 0; metric < kNames.size(); ++metric) {
    const double mean = sums[metric] / kShuffles;
    const double variance = std::max(0.0, squares[metric] / kShuffles - mean * mean);
    EXPECT_NEAR(evaluation.metrics[metric].value, mean, 4 * std::sqrt(variance / kShuffles) + 1e-12)
        << kNames[metric];
  }
}

TEST(Harmonic, DifferencesAgreeWithSummation) {
  for (const std::int64_t from : {0, 1, 5, 63, 64, 65, 1000, 999'983}) {
    long double sum = 0;
    std::int64_t k = from;
    for (const std::int64_t n : {1, 2, 31, 63, 64, 65, 66, 129, 5000, 200'000}) {
      for (; k < from + n; ++k) sum += 1.0L / static_cast<long double>(k + 1);
      EXPECT_NEAR(harmonic_between(from, from + n) / static_cast<double>(sum), 1, 1e-14)
          << from << " + " << n;
    }
  }
  EXPECT_EQ(harmonic_between(7, 7), 0);
}

TEST(Harmonic, SumsBehindAHundredMillionItemsKeepTheirDigits) {
  constexpr std::int64_t kBefore = 100'000'000;
  for (const std::int64_t n : {1, 10, 64, 65, 1000, 100'000}) {
    long double sum = 0;
    for (std::int64_t j = n; j >= 1; --j) {
      sum += (3.0L + 0.5L * static_cast<long double>(j - 1)) / static_cast<long double>(kBefore + j);
    }
    EXPECT_NEAR(rising_sum(3, 0.5, kBefore, n), static_cast<double>(sum),
                1e-9 * static_cast<double>(n) / kBefore + 1e-13 * static_cast<double>(n));
  }
}

TEST(Harmonic, LogarithmsAgreeWithTheLibrary) {
  for (double x = 1; x < 1e9; x = x * 1.37 + 0.01)
    EXPECT_NEAR(log_of(x), std::log(x), 4e-16 * std::log(x) + 1e-16);
  for (double x = 1e-9; x < 1e9; x *= 1.37) EXPECT_NEAR(log1p_of(x) / std::log1p(x), 1, 1e-15) << x;
  EXPECT_EQ(log_of(1), 0);
}

TEST(FirstHits, RareRelevantItemsOfALongTieMatchTheSumOverHits) {
  // The first probabilities lie below 1e-300; each hit's own distribution is summed outward from its peak.
  struct {
    std::int64_t n, r, needed;
  } const cases[] = {
      {100'000, 120, 100}, {200'000, 60, 50}, {50'000, 40'000, 30}, {3000, 2999, 2998}, {9, 2, 1}};
  for (const auto& [n, r, needed] : cases) {
    const TieClass tie{.n = n, .r = r, .items_before = 500, .relevant_before = 20};
    double sum = 0;
    for (std::int64_t i = 1; i <= needed; ++i) sum += expected_precision_at_hit(tie, i);
    EXPECT_NEAR(expected_first_hits(tie, needed) / sum, 1, 1e-10) << n << ' ' << r << ' ' << needed;
  }
}

}  // namespace
}  // namespace gauntlet::metrics
