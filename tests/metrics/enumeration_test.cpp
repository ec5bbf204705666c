// Every rule for ties of every metric against all orders of small random cases, one by one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/metrics/definitions.hpp"

namespace gauntlet::metrics {
namespace {

constexpr double kTolerance = 1e-12;
constexpr int kItems = 7;

std::vector<std::string> names_at(int n) {
  return {fmt::format("map@{}:first_relevant", n),
          fmt::format("map@{}:topk_hits", n),
          fmt::format("map@{}:topk_ir", n),
          fmt::format("precision@{}", n),
          fmt::format("recall@{}", n),
          fmt::format("acg@{}", n),
          fmt::format("ndcg@{}", n)};
}

/// The grades by rank of every order that respects the distances.
std::vector<std::vector<int>> all_orders(const Judged& items) {
  std::vector<std::size_t> order(items.distances.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::vector<std::vector<int>> all;
  do {
    bool respects = true;
    for (std::size_t rank = 1; rank < order.size(); ++rank)
      respects = respects && items.distances[order[rank - 1]] <= items.distances[order[rank]];
    if (!respects) continue;
    all.emplace_back();
    for (const std::size_t item : order) all.back().push_back(items.grades[item]);
  } while (std::next_permutation(order.begin(), order.end()));
  return all;
}

struct Bounds {
  double mean = 0;
  double least = 1e9;
  double most = -1e9;
};

template <class Fn>
Bounds over_orders(const std::vector<std::vector<int>>& orders, const Fn& value) {
  Bounds bounds;
  for (const std::vector<int>& ranked : orders) {
    const double here = value(ranked);
    bounds.mean += here / static_cast<double>(orders.size());
    bounds.least = std::min(bounds.least, here);
    bounds.most = std::max(bounds.most, here);
  }
  return bounds;
}

void expect_all_rules(const Case& drawn, const std::string& text) {
  const MetricName name = MetricName::parse(text).value();
  const Evaluation evaluation = drawn.run({text, text + "/stable", text + "/best", text + "/worst"});
  ASSERT_EQ(evaluation.metrics.size(), 4U);
  for (std::int64_t query = 0; query < drawn.n_queries; ++query) {
    const auto value = [&](std::size_t metric) {
      return evaluation.metrics[metric].per_query[static_cast<std::size_t>(query)];
    };
    const Judged items = judged(drawn, query);
    const Bounds bounds = over_orders(
        all_orders(items), [&](const std::vector<int>& ranked) { return by_definition(name, ranked); });
    EXPECT_NEAR(value(0), bounds.mean, kTolerance) << text << " query " << query;
    EXPECT_NEAR(value(1), by_definition(name, sorted_grades(items, Ties::kStable)), kTolerance) << text;
    EXPECT_NEAR(value(2), by_definition(name, sorted_grades(items, Ties::kBest)), kTolerance) << text;
    EXPECT_NEAR(value(3), by_definition(name, sorted_grades(items, Ties::kWorst)), kTolerance) << text;
    if (name.kind == "topk_hits") continue;  // fewer relevant items in the cut may mean a larger quotient
    EXPECT_NEAR(value(2), bounds.most, kTolerance) << text << " query " << query;
    EXPECT_NEAR(value(3), bounds.least, kTolerance) << text << " query " << query;
  }
}

TEST(Enumeration, EveryRuleForTiesOfEveryMetric) {
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    const Case drawn = random_case(seed, 2, kItems, 2, 4);
    expect_all_rules(drawn, "map");
    expect_all_rules(drawn, "wap");
    for (int n = 1; n <= kItems + 1; ++n) {
      for (const std::string& name : names_at(n)) expect_all_rules(drawn, name);
    }
  }
}

/// Mean over the queries with a relevant item of a value per ranked list, expected over orders.
template <class Fn>
double mean_of_valid(const Case& drawn, const Fn& value) {
  double sum = 0;
  double n_valid = 0;
  for (std::int64_t query = 0; query < drawn.n_queries; ++query) {
    const Judged items = judged(drawn, query);
    if (*std::max_element(items.grades.begin(), items.grades.end()) == 0) continue;
    sum += value(items);
    n_valid += 1;
  }
  return n_valid == 0 ? 0 : sum / n_valid;
}

TEST(Enumeration, CurvesOverRanksAndLevelsOfRecall) {
  for (std::uint64_t seed = 20; seed < 26; ++seed) {
    const Case drawn = random_case(seed, 3, kItems, 2, 3);
    for (const Ties ties : {Ties::kExpected, Ties::kStable, Ties::kBest, Ties::kWorst}) {
      const std::string suffix = ties == Ties::kExpected ? "" : fmt::format("/{}", name_of(ties));
      const auto mean = [&](const auto& value) {
        return mean_of_valid(drawn, [&](const Judged& items) {
          if (ties == Ties::kExpected) return over_orders(all_orders(items), value).mean;
          return value(sorted_grades(items, ties));
        });
      };
      const std::vector<spec::Curve> curves =
          curves_of(drawn.run({"pr:rank_macro" + suffix, "pr:recall_levels" + suffix}));
      ASSERT_EQ(curves.size(), 2U);
      EXPECT_EQ(curves[0].name, "pr:rank_macro" + suffix);
      ASSERT_EQ(curves[0].x.size(), static_cast<std::size_t>(kItems));
      for (int rank = 1; rank <= kItems; ++rank) {
        const auto at = [&](const char* base) {
          const MetricName name{base, rank, "", Ties::kExpected};
          return mean([&](const std::vector<int>& ranked) { return by_definition(name, ranked); });
        };
        EXPECT_NEAR(curves[0].y[static_cast<std::size_t>(rank - 1)], at("precision"), 1e-6) << suffix;
        EXPECT_NEAR(curves[0].x[static_cast<std::size_t>(rank - 1)], at("recall"), 1e-6) << suffix;
      }
      ASSERT_EQ(curves[1].x.size(), 10U);
      for (int level = 1; level <= 10; ++level) {
        EXPECT_FLOAT_EQ(curves[1].x[static_cast<std::size_t>(level - 1)], static_cast<float>(level) / 10);
        EXPECT_NEAR(curves[1].y[static_cast<std::size_t>(level - 1)],
                    mean([&](const std::vector<int>& ranked) { return precision_at_level(ranked, level); }),
                    1e-6)
            << suffix << " level " << level;
      }
    }
  }
}

}  // namespace
}  // namespace gauntlet::metrics
