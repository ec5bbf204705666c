// The split builders: sizes, disjointness, quotas, and that a seed is a split.
#include "core/data/detail/splits.hpp"

#include <gmock/gmock.h>

#include <map>

#include "core/base/random.hpp"

namespace gauntlet::data::detail {
namespace {

using testing::HasSubstr;

std::int64_t count(const Split& split, int value) { return std::ranges::count(split, value); }

/// `n` items with labels of very different frequency: label l of 6 with probability about 1 / (l + 2).
std::vector<std::uint8_t> skewed_labels(std::size_t n) {
  std::vector<std::uint8_t> rows(n * 6, 0);
  RandomStream random = RandomStream::of(5, 1, 0);
  for (std::size_t at = 0; at < rows.size(); ++at) {
    rows[at] = random.below(static_cast<std::uint32_t>(at % 6 + 2)) == 0 ? 1 : 0;
  }
  return rows;
}

/// Items of a part that carry the label.
std::int64_t carriers(const Split& split, const std::vector<std::uint8_t>& rows, std::size_t label,
                      int part) {
  std::int64_t n = 0;
  for (std::size_t item = 0; item < split.size(); ++item)
    n += split[item] == part && rows[item * 6 + label] != 0 ? 1 : 0;
  return n;
}

TEST(RowOrderSplit, TakesQueriesAtTheHeadOrAtTheTail) {
  EXPECT_EQ(*row_order_split(6, {1, 2}), (Split{0, 1, 1, 2, 2, 2}));
  EXPECT_EQ(*row_order_split(6, {1, 2}, QueryPlace::kTail), (Split{1, 1, 2, 2, 2, 0}));
  EXPECT_EQ(*row_order_split(3, {1, 2}), (Split{0, 1, 1}));
  EXPECT_EQ(row_order_split(6, {4, 3}).error().message,
            "4 queries and 3 training items are more than the 6 items of the set");
}

TEST(RandomSplit, HasTheSizesAskedForAndFollowsFromTheSeed) {
  const Split split = *random_split(5000, {300, 700}, 6);
  EXPECT_EQ(count(split, 0), 300);
  EXPECT_EQ(count(split, 1), 700);
  EXPECT_EQ(count(split, 2), 4000);
  EXPECT_EQ(split, *random_split(5000, {300, 700}, 6));
  EXPECT_NE(split, *random_split(5000, {300, 700}, 7));
  const std::int64_t in_first_half = std::count(split.begin(), split.begin() + 2500, 0);
  EXPECT_GT(in_first_half, 100);
  EXPECT_LT(in_first_half, 200);
  EXPECT_FALSE(random_split(5, {3, 3}, 1));
}

TEST(RandomSplit, IsTheDocumentedShuffle) {
  std::vector<std::uint32_t> order = {0, 1, 2, 3, 4};
  RandomStream random = RandomStream::of(9, 16, 0);
  for (std::uint32_t last = 4; last > 0; --last) std::swap(order[last], order[random.below(last + 1)]);
  Split expected(5, 2);
  expected[order[0]] = 0;
  expected[order[1]] = expected[order[2]] = 1;
  EXPECT_EQ(*random_split(5, {1, 2}, 9), expected);
}

TEST(RandomSplit, EveryItemIsEquallyOftenAQuery) {
  std::vector<int> times(10, 0);
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    const Split split = *random_split(10, {2, 3}, seed);
    for (std::size_t item = 0; item < 10; ++item) times[item] += split[item] == 0 ? 1 : 0;
  }
  for (const int n : times) EXPECT_NEAR(n, 400, 90);  // five standard deviations
}

TEST(ItemLabels, AreTheSameFromRowsAndFromBits) {
  std::vector<std::uint8_t> rows(3 * 70, 0);
  rows[0] = rows[69] = rows[70 + 64] = 1;
  std::vector<std::uint64_t> bits = {1, 1U << 5, 0, 1, 0, 0};
  const ItemLabels from_rows = ItemLabels::from_rows(rows, 70);
  const ItemLabels from_bits = ItemLabels::from_bits(bits, 2, 70);
  ASSERT_EQ(from_rows.n_items(), 3);
  for (std::int64_t item = 0; item < 3; ++item) {
    EXPECT_TRUE(std::ranges::equal(from_rows.of(item), from_bits.of(item))) << item;
  }
  EXPECT_THAT(from_rows.of(0), testing::ElementsAre(0, 69));
  EXPECT_EQ(from_bits.counts()[64], 1);
}

TEST(PerClassSplit, GivesEveryLabelItsQueriesAndTrainItems) {
  const auto rows = skewed_labels(4000);
  const ItemLabels labels = ItemLabels::from_rows(rows, 6);
  for (std::uint64_t seed = 1; seed < 6; ++seed) {
    const auto split = per_class_split(labels, {20, 100}, seed);
    ASSERT_TRUE(split) << split.error().message;
    EXPECT_EQ(count(*split, 0), 120);
    EXPECT_EQ(count(*split, 1), 600);
    for (std::size_t label = 0; label < 6; ++label) {
      EXPECT_GE(carriers(*split, rows, label, 0), 20) << label;
      EXPECT_GE(carriers(*split, rows, label, 1), 100) << label;
    }
  }
  EXPECT_EQ(*per_class_split(labels, {20, 100}, 1), *per_class_split(labels, {20, 100}, 1));
  EXPECT_NE(*per_class_split(labels, {20, 100}, 1), *per_class_split(labels, {20, 100}, 2));
  EXPECT_THAT(per_class_split(labels, {20, 600}, 1).error().message,
              HasSubstr("label 5 has too few items for this split: "));
}

TEST(SlotsSplit, FillsTrainFirst) {
  const auto rows = skewed_labels(4000);
  const ItemLabels labels = ItemLabels::from_rows(rows, 6);
  const auto split = slots_split(labels, {20, 100}, 3);
  ASSERT_TRUE(split) << split.error().message;
  EXPECT_EQ(count(*split, 0), 120);
  EXPECT_EQ(count(*split, 1), 600);
  for (std::size_t label = 0; label < 6; ++label) EXPECT_GE(carriers(*split, rows, label, 1), 100) << label;
  const std::vector<std::uint8_t> one_label = {1, 1, 1, 1};
  const Split small = *slots_split(ItemLabels::from_rows(one_label, 1), {1, 2}, 1);
  EXPECT_EQ(count(small, 0), 1);
  EXPECT_EQ(count(small, 1), 2);
  EXPECT_EQ(
      slots_split(ItemLabels::from_rows(one_label, 1), {3, 2}, 1).error().message,
      "label 0 has too few items for this split: 0 of its 2 training and 1 of its 3 query slots stay free");
}

TEST(HalfPerClassSplit, TakesTwiceAsManyOfTheFirstLabelAndTopsTrainUp) {
  const auto rows = skewed_labels(4000);
  const ItemLabels labels = ItemLabels::from_rows(rows, 6);
  const auto split = half_per_class_split(labels, {160, 400}, 4);
  ASSERT_TRUE(split) << split.error().message;
  EXPECT_EQ(count(*split, 0), 160 + 5 * 80);
  EXPECT_EQ(count(*split, 1), 400 + 5 * 200);
  EXPECT_GE(carriers(*split, rows, 0, 0), 160);
  const std::vector<std::uint8_t> scarce = {1, 0, 1, 0, 1, 0,
                                            0, 1, 0, 1, 1, 0};  // four of label 0, two of label 1
  const auto topped = half_per_class_split(ItemLabels::from_rows(scarce, 2), {2, 2}, 1);
  ASSERT_TRUE(topped) << topped.error().message;
  EXPECT_EQ(count(*topped, 0), 3);
  EXPECT_EQ(count(*topped, 1), 3);
  EXPECT_THAT(half_per_class_split(ItemLabels::from_rows(scarce, 2), {6, 2}, 1).error().message,
              HasSubstr("label 0 has too few new items for this split: 2 queries are missing"));
}

}  // namespace
}  // namespace gauntlet::data::detail
