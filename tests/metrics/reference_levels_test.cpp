// Levels against their definitions: all orders, all codes, the dense formula of the anchor.
#include "core/metrics/reference_levels.hpp"
#include "core/metrics/swap.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/metrics/random_case.hpp"

namespace gauntlet::metrics {
namespace {

using Words = std::vector<std::uint64_t>;

double ap_of_order(const std::vector<int>& relevant) {
  double hits = 0, sum = 0;
  for (std::size_t rank = 0; rank < relevant.size(); ++rank) {
    if (relevant[rank] == 0) continue;
    hits += 1;
    sum += hits / static_cast<double>(rank + 1);
  }
  return sum / hits;
}

TEST(ReferenceLevels, ChanceAndFloorAreMeanAndMinimumOverAllOrders) {
  const std::int64_t n = 7;
  for (std::int64_t r = 1; r <= n; ++r) {
    std::vector<int> order(static_cast<std::size_t>(n), 0);
    std::fill(order.end() - r, order.end(), 1);
    double sum = 0, count = 0, least = 1;
    do {
      const double ap = ap_of_order(order);
      sum += ap;
      count += 1;
      least = std::min(least, ap);
    } while (std::next_permutation(order.begin(), order.end()));
    EXPECT_NEAR(chance_ap(n, r), sum / count, 1e-12) << r;
    EXPECT_NEAR(absolute_floor(n, r), least, 1e-12) << r;
  }
  EXPECT_NEAR(chance_ap(7, 3), 0.580272, 5e-7);
  EXPECT_NEAR(absolute_floor(7, 3), 0.320635, 5e-7);
  EXPECT_NEAR(chance_ap(6000, 2000), 0.334, 5e-4);
  EXPECT_NEAR(absolute_floor(6000, 2000), 0.189, 5e-4);
  EXPECT_EQ(chance_ap(5, 0), 0);
  EXPECT_EQ(absolute_floor(5, 0), 0);
  EXPECT_EQ(chance_ap(1, 1), 1);
}

/// Items around one code per label, as a trained model places them: every bit turned with probability 1/8.
struct Clusters {
  PackedCodes codes;
  LabelSets labels;
};

Clusters clusters(std::uint64_t seed, std::int64_t n, std::int64_t bits, std::int64_t n_labels) {
  RandomStream stream(seed);
  std::vector<int> centres(static_cast<std::size_t>(n_labels * bits));
  for (int& bit : centres) bit = stream.below(2) == 0 ? -1 : 1;
  std::vector<int> codes;
  std::vector<std::uint8_t> labels(static_cast<std::size_t>(n * n_labels), 0);
  for (std::int64_t item = 0; item < n; ++item) {
    const std::int64_t label = stream.below(static_cast<std::uint32_t>(n_labels));
    labels[static_cast<std::size_t>(item * n_labels + label)] = 1;
    if (stream.below(4) == 0) {
      labels[static_cast<std::size_t>(item * n_labels + stream.below(static_cast<std::uint32_t>(n_labels)))] =
          1;
    }
    for (std::int64_t bit = 0; bit < bits; ++bit) {
      const int centre = centres[static_cast<std::size_t>(label * bits + bit)];
      codes.push_back(stream.below(8) == 0 ? -centre : centre);
    }
  }
  return {PackedCodes::from_values(std::span<const int>(codes), bits).value(),
          LabelSets::from_values(std::span<const std::uint8_t>(labels), n_labels).value()};
}

RetrievalIndex index_of(const PackedCodes& codes, const LabelSets& labels) {
  return RetrievalIndex::build(ItemsInMemory(codes, labels)).value();
}

TEST(RetrievalIndex, RanksACodeAsTheMetricDoes) {
  for (const auto& [n_items, bits] : {std::pair{300, 16}, {70'000, 48}, {1000, 130}}) {
    const Case drawn = random_case(7, 12, n_items, bits, 6);
    const Evaluation evaluation = drawn.run({"map"});
    const PackedCodes queries = Case::pack(drawn.query_codes, bits);
    const LabelSets labels = drawn.sets(drawn.query_labels);
    const PackedCodes items = Case::pack(drawn.retrieval_codes, bits);
    const LabelSets item_labels = drawn.sets(drawn.retrieval_labels);
    const RetrievalIndex index = index_of(items, item_labels);
    EXPECT_EQ(ap_of_codes(index, queries, labels, 2), evaluation.metrics[0].per_query) << n_items;
  }
}

TEST(RetrievalIndex, RefusesNoItems) {
  const PackedCodes none = PackedCodes::from_values(std::span<const int>(), 8).value();
  const LabelSets labels = LabelSets::from_values(std::span<const std::uint8_t>(), 2).value();
  EXPECT_FALSE(RetrievalIndex::build(ItemsInMemory(none, labels)));
}

TEST(BitSearch, FindsTheExhaustiveMinimumAndMaximum) {
  for (const std::int64_t bits : {6, 8, 10}) {
    const Clusters items = clusters(11, 400, bits, 5);
    const RetrievalIndex index = index_of(items.codes, items.labels);
    const Words anchors = class_anchors(items.labels, items.labels, items.codes);
    for (std::int64_t query = 0; query < 10; ++query) {
      const RelevantItems relevant = index.relevant_to(items.labels.row(query));
      double least = 1, most = 0;
      for (std::uint64_t code = 0; code < std::uint64_t{1} << bits; ++code) {
        const double ap = index.ap_of_code(std::span(&code, 1), relevant);
        least = std::min(least, ap);
        most = std::max(most, ap);
      }
      const std::span<const std::uint64_t> anchor =
          std::span(anchors).subspan(static_cast<std::size_t>(query), 1);
      const BitSearch down = bit_search(index, relevant, opposite(anchor, bits), Sense::kLower);
      EXPECT_NEAR(down.ap, least, 1e-12) << bits << " bits, query " << query;
      EXPECT_EQ(index.ap_of_code(down.code, relevant), down.ap);
      ASSERT_EQ(down.flipped_ap.size(), static_cast<std::size_t>(bits));
      for (const double ap : down.flipped_ap) EXPECT_GE(ap, down.ap);
      EXPECT_EQ(down.n_evaluations % bits, 1);
      EXPECT_NEAR(bit_search(index, relevant, anchor, Sense::kHigher).ap, most, 1e-12) << query;
    }
  }
}

/// The dense formula of attacks::mainstay_code, item by item.
Words dense_anchor(const LabelSets& labels, std::int64_t row, const Clusters& train) {
  const std::int64_t bits = train.codes.bits();
  const auto has = [](const LabelSets& sets, std::int64_t item, std::int64_t label) {
    return (sets.row(item)[static_cast<std::size_t>(label / 64)] >> (label % 64) & 1) != 0;
  };
  Words code(static_cast<std::size_t>(bits + 63) / 64, 0);
  for (std::int64_t bit = 0; bit < bits; ++bit) {
    double near = 0, near_weight = 0, far = 0, far_weight = 0;
    for (std::int64_t item = 0; item < train.codes.n(); ++item) {
      double own = 0, other = 0, shared = 0;
      for (std::int64_t label = 0; label < labels.n_labels(); ++label) {
        own += has(labels, row, label);
        other += has(train.labels, item, label);
        shared += has(labels, row, label) && has(train.labels, item, label);
      }
      const auto word = static_cast<std::size_t>(bit / 64);
      const double value = (train.codes.row(item)[word] >> (bit % 64) & 1) != 0 ? 1 : -1;
      const double cosine = shared == 0 ? 0 : shared / (std::sqrt(own) * std::sqrt(other));
      near += cosine * value;
      near_weight += cosine;
      far += shared == 0 ? value : 0;
      far_weight += shared == 0;
    }
    const double mean = (near_weight > 0 ? near / near_weight : 0) - (far_weight > 0 ? far / far_weight : 0);
    if (mean > 1e-9) code[static_cast<std::size_t>(bit / 64)] |= std::uint64_t{1} << (bit % 64);
  }
  return code;
}

TEST(ClassAnchors, AreTheMainstayCodesOfTheDenseFormula) {
  const Clusters train = clusters(3, 150, 70, 9);
  const Clusters queries = clusters(4, 40, 70, 9);
  const Words anchors = class_anchors(queries.labels, train.labels, train.codes, 2);
  ASSERT_EQ(anchors.size(), 80U);
  for (std::int64_t query = 0; query < 40; ++query) {
    const auto begin = anchors.begin() + 2 * query;
    EXPECT_EQ(Words(begin, begin + 2), dense_anchor(queries.labels, query, train)) << query;
  }
}

TEST(ReferenceLevels, StandInTheirOrderAndDoNotDependOnThreads) {
  const Clusters items = clusters(5, 2000, 32, 6);
  const Clusters queries = clusters(6, 60, 32, 6);
  const RetrievalIndex index = index_of(items.codes, items.labels);
  const auto levels = [&](Sense sense, int n_threads, std::uint64_t seed = 1) {
    return reference_levels(index, queries.labels, items.labels, items.codes, sense,
                            {.seed = seed, .n_threads = n_threads});
  };
  const ReferenceLevels down = levels(Sense::kLower, 1);
  for (std::size_t query = 0; query < 60; ++query) {
    EXPECT_LE(down.absolute[query], down.oracle[query]);
    EXPECT_LE(down.oracle[query], down.anchor[query]);
    EXPECT_LT(down.anchor[query], down.chance[query]);
    EXPECT_LT(down.chance[query], down.own_anchor[query]);
  }
  const ReferenceLevels up = levels(Sense::kHigher, 1);
  EXPECT_EQ(up.anchor, up.own_anchor);
  EXPECT_EQ(up.anchor, down.own_anchor);
  for (std::size_t query = 0; query < 60; ++query) EXPECT_GE(up.oracle[query], up.anchor[query]);
  const ReferenceLevels threaded = levels(Sense::kLower, 3);
  EXPECT_EQ(threaded.oracle, down.oracle);
  EXPECT_EQ(threaded.random_code, down.random_code);
  EXPECT_NE(levels(Sense::kLower, 1, 2).random_code, down.random_code);
}

TEST(ReferenceLevels, TheSwapFloorIsTheLeastOfTheGivenCodes) {
  const Clusters items = clusters(8, 500, 16, 4);
  const Clusters queries = clusters(9, 20, 16, 4);
  const RetrievalIndex index = index_of(items.codes, items.labels);
  const std::vector<double> least = least_ap(index, items.codes, queries.labels, 2);
  for (std::int64_t query = 0; query < 20; ++query) {
    double expected = 1;
    for (std::int64_t item = 0; item < 500; ++item) {
      expected = std::min(expected, index.ap_of_code(items.codes.row(item), queries.labels.row(query)));
    }
    EXPECT_EQ(least[static_cast<std::size_t>(query)], expected) << query;
  }
  const WeakestCodes weakest = weakest_codes(index, items.codes, queries.labels, 3);
  EXPECT_EQ(weakest.ap, least);
  for (std::int64_t query = 0; query < 20; ++query) {
    const auto at = static_cast<std::size_t>(query);
    EXPECT_EQ(index.ap_of_code(items.codes.row(weakest.chosen[at]), queries.labels.row(query)), least[at]);
    for (std::int64_t item = 0; item < weakest.chosen[at]; ++item)
      EXPECT_GT(index.ap_of_code(items.codes.row(item), queries.labels.row(query)), least[at]) << item;
  }
}

TEST(ReferenceLevels, OfAQueryWithoutRelevantItemsAreZero) {
  const Clusters items = clusters(8, 100, 16, 4);
  const RetrievalIndex index = index_of(items.codes, items.labels);
  const std::vector<std::uint8_t> nothing(4, 0);
  const LabelSets labels = LabelSets::from_values(std::span<const std::uint8_t>(nothing), 4).value();
  const ReferenceLevels levels =
      reference_levels(index, labels, items.labels, items.codes, Sense::kLower, {});
  EXPECT_EQ(levels.chance[0] + levels.absolute[0] + levels.oracle[0] + levels.random_code[0], 0);
}

}  // namespace
}  // namespace gauntlet::metrics
