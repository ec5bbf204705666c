// What must hold for any codes and labels, on random cases by seed; and the fast kernels against the scalar
// one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "core/metrics/detail/harmonic.hpp"
#include "tests/metrics/random_case.hpp"

namespace gauntlet::metrics {
namespace {

class Kernels : public testing::TestWithParam<int> {};

TEST_P(Kernels, EveryPathGivesTheDefinition) {
  const std::int64_t bits = GetParam();
  const Case drawn = random_case(static_cast<std::uint64_t>(bits), 3, 203, bits, 70);
  for (const SimdPath path : available_simd_paths()) {
    const Rankings rankings = drawn.rankings(path, true);
    for (std::int64_t query = 0; query < drawn.n_queries; ++query) {
      for (const Relevance relevance : {Relevance::kOwn, Relevance::kTarget}) {
        std::vector<int> distances;
        std::vector<bool> relevant;
        naive(drawn, query, distances, relevant,
              relevance == Relevance::kOwn ? drawn.query_labels : drawn.target_labels);
        std::vector<std::uint32_t> items(static_cast<std::size_t>(bits) + 1, 0);
        std::vector<std::uint32_t> hits(static_cast<std::size_t>(bits) + 1, 0);
        for (std::size_t item = 0; item < distances.size(); ++item) {
          ++items[static_cast<std::size_t>(distances[item])];
          hits[static_cast<std::size_t>(distances[item])] += relevant[item] ? 1 : 0;
        }
        const RankedQuery ranked = rankings.query(query, relevance);
        ASSERT_THAT(ranked.items, testing::ElementsAreArray(items)) << name_of(path);
        ASSERT_THAT(ranked.relevant, testing::ElementsAreArray(hits)) << name_of(path);
        std::vector<std::size_t> order(distances.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::stable_sort(order.begin(), order.end(),
                         [&](std::size_t a, std::size_t b) { return distances[a] < distances[b]; });
        for (std::size_t rank = 0; rank < order.size(); ++rank) {
          ASSERT_EQ(((ranked.stable[rank / 64] >> (rank % 64)) & 1) != 0, relevant[order[rank]])
              << name_of(path) << rank;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Bits, Kernels,
                         testing::Values(1, 7, 8, 9, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257,
                                         1023, 1024, 1025, 4096));

/// Around the borders of words, vectors, a step of each instruction set, a piece and a block.
TEST(Kernels, ItemsOfAnyNumberAreCounted) {
  for (const std::int64_t n_items :
       {1,    7,    63,   64,   65,   511,   512,   513,   1023,  1025,   2048,  2049,
        4095, 4096, 4097, 8191, 8193, 65535, 65536, 65537, 65600, 131071, 131073}) {
    const Case drawn = random_case(11, 2, n_items, 9, 5);
    for (const SimdPath path : available_simd_paths()) {
      const Rankings rankings = drawn.rankings(path, false, 3);
      for (std::int64_t query = 0; query < 2; ++query) {
        std::vector<std::uint32_t> items(10, 0);
        std::vector<std::uint32_t> hits(10, 0);
        std::vector<int> distances;
        std::vector<bool> relevant;
        naive(drawn, query, distances, relevant, drawn.target_labels);
        for (std::size_t item = 0; item < distances.size(); ++item) {
          ++items[static_cast<std::size_t>(distances[item])];
          hits[static_cast<std::size_t>(distances[item])] += relevant[item] ? 1 : 0;
        }
        const RankedQuery ranked = rankings.query(query, Relevance::kTarget);
        ASSERT_THAT(ranked.items, testing::ElementsAreArray(items)) << name_of(path) << ' ' << n_items;
        ASSERT_THAT(ranked.relevant, testing::ElementsAreArray(hits)) << name_of(path) << ' ' << n_items;
        ASSERT_EQ(ranked.n_relevant, std::accumulate(hits.begin(), hits.end(), std::int64_t{0}));
      }
    }
  }
}

TEST(Kernels, PathsAreNamedAndUnknownOnesRefused) {
  for (const SimdPath path : available_simd_paths()) EXPECT_EQ(simd_path_from(name_of(path)), path);
  EXPECT_EQ(available_simd_paths().front(), SimdPath::kScalar);
  EXPECT_EQ(available_simd_paths().back(), fastest_simd_path());
  EXPECT_THAT(simd_path_from("mmx").error().message,
              testing::StartsWith("this processor has no path 'mmx'; it has scalar"));
}

TEST(Properties, LongTiesMatchTheClosedForm) {
  // All items in one class: the cut kinds with K = N and the full ranking are the same number by different
  // formulas.
  Case drawn = random_case(5, 1, 5000, 16, 6);
  for (std::size_t at = 0; at < drawn.retrieval_codes.size(); ++at)
    drawn.retrieval_codes[at] = drawn.query_codes[at % 16];
  const Evaluation evaluation =
      drawn.run({"map", "map@5000:first_relevant", "map@5000:topk_hits", "map@5000:topk_ir",
                 "map@4999:first_relevant", "map@4999:topk_hits"});
  const double map = evaluation.metrics[0].value;
  for (std::size_t at = 1; at < 4; ++at) EXPECT_NEAR(evaluation.metrics[at].value, map, 1e-12);
  EXPECT_NEAR(evaluation.metrics[4].value, map, 1e-12);  // fewer than 4999 are relevant
  EXPECT_NEAR(evaluation.metrics[5].value, map, 1e-3);
  const double r = evaluation.chance_map * 5000;
  EXPECT_NEAR(map, (r - 1) / 4999 + (1 - (r - 1) / 4999) * harmonic_between(0, 5000) / 5000, 1e-12);
}

TEST(Properties, FirstRelevantInsideALongTieMatchesDirectSummation) {
  // n = 400 items at one distance, r of them relevant, first i hits: P(position p) by exact products.
  Case drawn = random_case(9, 1, 400, 8, 1);
  for (std::size_t at = 0; at < drawn.retrieval_codes.size(); ++at)
    drawn.retrieval_codes[at] = drawn.query_codes[at % 8];
  drawn.query_labels = {1};
  const int n = 400;
  const int r = static_cast<int>(std::count(drawn.retrieval_labels.begin(), drawn.retrieval_labels.end(), 1));
  const int needed = 30;
  ASSERT_GT(r, needed);
  double expected = 0;
  for (int i = 1; i <= needed; ++i) {
    for (int p = i; p <= n - r + i; ++p) {
      const double log_weight = std::lgamma(p) - std::lgamma(i) - std::lgamma(p - i + 1) +
                                std::lgamma(n - p + 1) - std::lgamma(r - i + 1) -
                                std::lgamma(n - p - r + i + 1) - std::lgamma(n + 1) + std::lgamma(r + 1) +
                                std::lgamma(n - r + 1);
      expected += std::exp(log_weight) * i / p / needed;
    }
  }
  EXPECT_NEAR(drawn.run({"map@30:first_relevant"}).metrics[0].value, expected, 1e-10);
}

TEST(Properties, WorstStableBestAreOrdered) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Evaluation evaluation =
        random_case(seed, 4, 60, 5, 4).run({"map/worst", "map/stable", "map/best", "map"});
    for (std::size_t query = 0; query < 4; ++query) {
      const auto value = [&](std::size_t metric) { return evaluation.metrics[metric].per_query[query]; };
      EXPECT_LE(value(0), value(1) + 1e-12);
      EXPECT_LE(value(1), value(2) + 1e-12);
      EXPECT_LE(value(0), value(3) + 1e-12);
      EXPECT_LE(value(3), value(2) + 1e-12);
    }
  }
}

TEST(Properties, RandomCodesComeCloseToChance) {
  const Evaluation evaluation = random_case(3, 40, 4000, 32, 4).run({"map"});
  EXPECT_NEAR(evaluation.metrics[0].valid,
              evaluation.chance_map * 40 / static_cast<double>(40 - evaluation.n_without_relevant), 0.02);
}

TEST(Properties, EqualCodesDependOnCountsOnly) {
  Case drawn = random_case(6, 2, 90, 12, 1);
  std::fill(drawn.retrieval_codes.begin(), drawn.retrieval_codes.end(), 1);
  drawn.query_labels = {1, 1};
  const Evaluation before = drawn.run({"map", "map@10:first_relevant"});
  std::reverse(drawn.retrieval_labels.begin(), drawn.retrieval_labels.end());
  const Evaluation after = drawn.run({"map", "map@10:first_relevant"});
  for (std::size_t metric = 0; metric < 2; ++metric) {
    EXPECT_EQ(before.metrics[metric].per_query[0], before.metrics[metric].per_query[1]);
    EXPECT_EQ(before.metrics[metric].per_query, after.metrics[metric].per_query);
  }
}

TEST(Properties, OrderOfTheFilesChangesNothing) {
  const Case drawn = random_case(8, 5, 300, 10, 6);
  Case permuted = drawn;
  RandomStream stream(1);
  std::vector<std::size_t> order(300);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t at = order.size(); at > 1; --at)
    std::swap(order[at - 1], order[stream.below(static_cast<std::uint32_t>(at))]);
  for (std::size_t item = 0; item < 300; ++item) {
    for (std::size_t bit = 0; bit < 10; ++bit)
      permuted.retrieval_codes[item * 10 + bit] = drawn.retrieval_codes[order[item] * 10 + bit];
    for (std::size_t label = 0; label < 6; ++label)
      permuted.retrieval_labels[item * 6 + label] = drawn.retrieval_labels[order[item] * 6 + label];
  }
  const std::vector<std::string> names = {
      "map", "map@20:first_relevant", "map@20:topk_hits", "map@20:topk_ir", "precision@7", "pr", "t_map"};
  const Evaluation before = drawn.run(names);
  const Evaluation after = permuted.run(names);
  for (std::size_t metric = 0; metric < names.size(); ++metric) {
    EXPECT_EQ(before.metrics[metric].value, after.metrics[metric].value) << names[metric];
    EXPECT_EQ(before.metrics[metric].per_query, after.metrics[metric].per_query) << names[metric];
  }
}

TEST(Properties, FlippingEveryBitChangesNothing) {
  Case drawn = random_case(4, 5, 200, 65, 6);
  const Evaluation before = drawn.run({"map", "map/stable", "pr"});
  for (int& value : drawn.query_codes) value = -value;
  for (int& value : drawn.retrieval_codes) value = -value;
  const Evaluation after = drawn.run({"map", "map/stable", "pr"});
  for (std::size_t metric = 0; metric < 3; ++metric)
    EXPECT_EQ(before.metrics[metric].value, after.metrics[metric].value);
}

TEST(Properties, OneCodePerLabelIsPerfect) {
  Case drawn = random_case(2, 4, 40, 4, 4);
  for (std::size_t at = 0; at < 4 * 4; ++at) {
    drawn.query_codes[at] = at / 4 == at % 4 ? 1 : -1;
    drawn.query_labels[at] = at / 4 == at % 4 ? 1 : 0;
  }
  for (std::size_t at = 0; at < 40 * 4; ++at) {
    drawn.retrieval_codes[at] = (at / 4) % 4 == at % 4 ? 1 : -1;
    drawn.retrieval_labels[at] = (at / 4) % 4 == at % 4 ? 1 : 0;
  }
  const Evaluation evaluation = drawn.run({"map", "map/worst", "precision@10", "pr"});
  for (std::size_t metric = 0; metric < 3; ++metric) EXPECT_DOUBLE_EQ(evaluation.metrics[metric].value, 1.0);
  EXPECT_EQ(curves_of(evaluation)[0].y[0], 1.0F);
}

TEST(Properties, ThreadsChangeNothing) {
  const Case drawn = random_case(12, 100, 500, 24, 5);
  const std::vector<std::string> names = {"map",         "map/stable", "t_map",
                                          "precision@9", "pr",         "map@50:first_relevant"};
  const Evaluation one = drawn.run(names, 1);
  const Evaluation four = drawn.run(names, 4);
  for (std::size_t metric = 0; metric < names.size(); ++metric) {
    EXPECT_EQ(one.metrics[metric].value, four.metrics[metric].value);
    EXPECT_EQ(one.metrics[metric].per_query, four.metrics[metric].per_query);
  }
}

TEST(Properties, NoQueryWithARelevantItemGivesZeros) {
  Case drawn = random_case(13, 3, 20, 8, 2);
  std::fill(drawn.query_labels.begin(), drawn.query_labels.end(), std::uint8_t{0});
  const Evaluation evaluation = drawn.run({"map", "map/stable", "map@5:topk_hits", "precision@5", "pr"});
  EXPECT_EQ(evaluation.n_without_relevant, 3);
  for (const MetricValue& metric : evaluation.metrics) {
    EXPECT_EQ(metric.value, 0.0) << metric.name;
    EXPECT_EQ(metric.valid, 0.0) << metric.name;
  }
}

TEST(Properties, ThousandsOfSharedLabelsDoNotOverflow) {
  Case drawn = random_case(15, 1, 3, 2, 4096);
  drawn.query_codes = {1, 1};
  drawn.retrieval_codes = {-1, 1, 1, 1, -1, -1};  // the second item is nearest, then the first
  std::fill(drawn.query_labels.begin(), drawn.query_labels.end(), std::uint8_t{1});
  for (std::size_t label = 0; label < 4096; ++label) {
    drawn.retrieval_labels[label] = 1;
    drawn.retrieval_labels[4096 + label] = label < 3000 ? 1 : 0;
    drawn.retrieval_labels[2 * 4096 + label] = 0;
  }
  const Evaluation evaluation = drawn.run({"ndcg@2", "acg@2", "wap", "ndcg@2/stable"});
  EXPECT_DOUBLE_EQ(evaluation.metrics[0].value, 1 / std::log2(3.0));  // 2^3000 is nothing beside 2^4096
  EXPECT_DOUBLE_EQ(evaluation.metrics[1].value, (3000 + 4096) / 2.0);
  EXPECT_DOUBLE_EQ(evaluation.metrics[2].value, (3000 + (3000 + 4096) / 2.0) / 2);
  EXPECT_DOUBLE_EQ(evaluation.metrics[3].value, 1 / std::log2(3.0));
}

TEST(Properties, PrecisionBeyondTheSetCountsMissingItemsAsMisses) {
  Case drawn = random_case(14, 1, 5, 8, 1);
  drawn.query_labels = {1};
  drawn.retrieval_labels = {1, 1, 0, 1, 0};
  for (const std::string ties : {"", "/stable", "/best", "/worst"}) {
    EXPECT_DOUBLE_EQ(drawn.run({"precision@10" + ties}).metrics[0].value, 0.3) << ties;
  }
}

}  // namespace
}  // namespace gauntlet::metrics
