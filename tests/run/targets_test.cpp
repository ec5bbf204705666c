// Which items targeted attacks aim at.
#include "core/run/targets.hpp"

#include <gmock/gmock.h>

#include <set>

#include "tests/data/small_set.hpp"

namespace gauntlet::run {
namespace {

/// 60 items, four labels: 20 queries, 20 for training, 20 for retrieval only. Item i has label i % 3;
/// multiples of 5 also have label 3.
data::PreparedSet labelled_set(const testing_support::TempFolder& folder) {
  constexpr std::int64_t kItems = 60;
  const std::filesystem::path path = folder / "set";
  std::filesystem::create_directories(path);
  std::vector<std::uint8_t> images(kItems * 8 * 8 * 3, 7), text(kItems * 3, 1), labels(kItems * 4),
      split(kItems);
  for (std::size_t item = 0; item < kItems; ++item) {
    labels[item * 4 + item % 3] = 1;
    if (item % 5 == 0) labels[item * 4 + 3] = 1;
    split[item] = static_cast<std::uint8_t>(item / 20);
  }
  EXPECT_TRUE(io::write_npy<std::uint8_t>(path / "images.npy", {kItems, 8, 8, 3}, images));
  EXPECT_TRUE(io::write_npy<std::uint8_t>(path / "text.npy", {kItems, 3}, text));
  EXPECT_TRUE(io::write_npy<std::uint8_t>(path / "labels.npy", {kItems, 4}, labels));
  EXPECT_TRUE(io::write_npy<std::uint8_t>(path / "split.npy", {kItems}, split));
  folder.write("set/dataset.json",
               R"({"format": 1, "name": "labelled", "label_names": ["a", "b", "c", "d"]})");
  auto set = data::PreparedSet::open(path);
  EXPECT_TRUE(set) << (set ? "" : set.error().message);
  return std::move(*set);
}

class TargetDraws : public ::testing::Test {
 protected:
  testing_support::TempFolder folder_;
  data::PreparedSet set_ = labelled_set(folder_);

  [[nodiscard]] Targets draw(TargetDraw how, std::int64_t min_items = 1, std::uint64_t seed = 3) const {
    auto targets = draw_targets(set_, set_.rows(data::Part::kQuery), how, min_items, seed);
    EXPECT_TRUE(targets) << (targets ? "" : targets.error().message);
    return targets ? std::move(*targets) : Targets{};
  }
  [[nodiscard]] std::vector<std::uint8_t> labels_of(std::int64_t item) const {
    const auto labels = set_.labels().subspan(static_cast<std::size_t>(item) * 4, 4);
    return {labels.begin(), labels.end()};
  }
};

TEST_F(TargetDraws, AreItemsOfTheRetrievalSetWithTheirLabels) {
  const Targets targets = draw(TargetDraw::kUniform);
  ASSERT_EQ(targets.labels.sizes(), (torch::IntArrayRef{20, 4}));
  for (std::int64_t query = 0; query < 20; ++query) {
    const auto item = targets.items[query].item<std::int64_t>();
    EXPECT_THAT(set_.rows(data::Part::kRetrieval), ::testing::Contains(item));
    for (std::int64_t label = 0; label < 4; ++label) {
      EXPECT_EQ(targets.labels[query][label].item<int>(), labels_of(item)[static_cast<std::size_t>(label)]);
    }
  }
}

TEST_F(TargetDraws, DependOnTheSeedAndTheQueryOnly) {
  EXPECT_TRUE(draw(TargetDraw::kUniform).items.equal(draw(TargetDraw::kUniform).items));
  EXPECT_FALSE(draw(TargetDraw::kUniform, 1, 4).items.equal(draw(TargetDraw::kUniform).items));
  const std::vector<std::int64_t> few = {11, 4};
  const Targets alone = draw_targets(set_, few, TargetDraw::kUniform, 1, 3).value();
  EXPECT_EQ(alone.items[0].item<std::int64_t>(), draw(TargetDraw::kUniform).items[11].item<std::int64_t>());
  EXPECT_EQ(alone.items[1].item<std::int64_t>(), draw(TargetDraw::kUniform).items[4].item<std::int64_t>());
}

TEST_F(TargetDraws, DisjointOnesShareNoLabelWithTheQuery) {
  const Targets targets = draw(TargetDraw::kDisjoint);
  for (std::int64_t query = 0; query < 20; ++query) {
    const auto own = labels_of(query), aimed = labels_of(targets.items[query].item<std::int64_t>());
    for (std::size_t label = 0; label < 4; ++label)
      EXPECT_FALSE(own[label] == 1 && aimed[label] == 1) << query;
  }
}

TEST_F(TargetDraws, DistinctOnesAreOneItemPerLabelVector) {
  std::set<std::int64_t> items;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Targets targets = draw(TargetDraw::kDistinct, 1, seed);
    for (std::int64_t query = 0; query < 20; ++query) items.insert(targets.items[query].item<std::int64_t>());
  }
  EXPECT_EQ(items.size(), 6U);  // three labels, each with and without the fourth
}

TEST_F(TargetDraws, FrequentOnesHaveEnoughTrainingItemsAndAreNotTheQuerysOwn) {
  const Targets targets = draw(TargetDraw::kFrequent, 5);
  for (std::int64_t query = 0; query < 20; ++query) {
    const auto aimed = labels_of(targets.items[query].item<std::int64_t>());
    EXPECT_EQ(aimed[3], 0) << "only label vectors without the fourth label have five training items";
    EXPECT_NE(aimed, labels_of(query));
  }
  const auto refused = draw_targets(set_, set_.rows(data::Part::kQuery), TargetDraw::kFrequent, 9, 3);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(refused.error().message,
              ::testing::HasSubstr("has a label vector that 9 training items share"));
}

TEST(TargetDrawNames, AreChecked) {
  EXPECT_EQ(target_draw_from("disjoint").value(), TargetDraw::kDisjoint);
  const auto refused = target_draw_from("any");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "targets is 'any'; allowed: uniform, distinct, disjoint, frequent");
}

}  // namespace
}  // namespace gauntlet::run
