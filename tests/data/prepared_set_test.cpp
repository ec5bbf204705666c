#include "core/data/prepared_set.hpp"

#include <gmock/gmock.h>

#include "tests/data/small_set.hpp"

namespace gauntlet::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::TempFolder;

std::string message_of(const SmallSet& small) {
  const TempFolder folder;
  const auto set = PreparedSet::open(small.write(folder));
  return set ? "opened" : set.error().message;
}

TEST(PreparedSet, OpensWithItsShapesAndParts) {
  const TempFolder folder;
  const auto set = PreparedSet::open(SmallSet().write(folder));
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_EQ(set->n_items(), 6);
  EXPECT_EQ(set->height(), 8);
  EXPECT_EQ(set->width(), 8);
  EXPECT_EQ(set->feature_dim(), 0);
  EXPECT_EQ(set->text_dim(), 3);
  EXPECT_EQ(set->n_labels(), 2);
  EXPECT_TRUE(set->text_is_binary());
  EXPECT_THAT(set->rows(Part::kQuery), ElementsAre(0, 1));
  EXPECT_THAT(set->rows(Part::kTrain), ElementsAre(2, 3));
  EXPECT_THAT(set->rows(Part::kRetrieval), ElementsAre(2, 3, 4, 5)) << "train is part of retrieval";
  EXPECT_EQ(set->images()[5], SmallSet().images[5]);
  EXPECT_THAT(set->label_names(), ElementsAre("round", "red"));
}

TEST(PreparedSet, AnItemMayBeInNoPart) {
  const TempFolder folder;
  SmallSet small;
  small.split = {0, 3, 1, 1, 2, 3};
  const auto set = PreparedSet::open(small.write(folder));
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_THAT(set->rows(Part::kQuery), ElementsAre(0));
  EXPECT_THAT(set->rows(Part::kRetrieval), ElementsAre(2, 3, 4));
}

TEST(PreparedSet, AMovedSetKeepsItsArrays) {
  const TempFolder folder;
  auto first = PreparedSet::open(SmallSet().write(folder));
  ASSERT_TRUE(first);
  const PreparedSet second = std::move(*first);
  EXPECT_THAT(second.labels(), testing::ElementsAreArray(SmallSet().labels));
}

TEST(PreparedSet, FeaturesAndRealTextsAreRead) {
  const TempFolder folder;
  const auto path = SmallSet().write(folder);
  const std::vector<float> features(6 * 4, 0.5F);
  const std::vector<float> text(6 * 3, -0.25F);
  std::filesystem::remove(path / "images.npy");
  ASSERT_TRUE(io::write_npy<float>(path / "image_features.npy", {6, 4}, features));
  ASSERT_TRUE(io::write_npy<float>(path / "text.npy", {6, 3}, text));
  const auto set = PreparedSet::open(path);
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_EQ(set->height(), 0);
  EXPECT_EQ(set->feature_dim(), 4);
  EXPECT_FALSE(set->text_is_binary());
  EXPECT_EQ(set->text_f32().size(), 18U);
}

TEST(PreparedSet, WithoutLabelNamesLabelsAreNumbered) {
  const TempFolder folder;
  SmallSet small;
  small.about = "{}";
  const auto set = PreparedSet::open(small.write(folder));
  ASSERT_TRUE(set);
  EXPECT_THAT(set->label_names(), ElementsAre("label 0", "label 1"));
}

TEST(PreparedSet, WhatDoesNotFitIsNamed) {
  SmallSet labels;
  labels.labels[5] = 2;
  EXPECT_THAT(message_of(labels), HasSubstr("labels.npy: row 2, label 1 is 2; allowed: 0, 1"));
  SmallSet split;
  split.split[3] = 7;
  EXPECT_THAT(message_of(split), HasSubstr("split.npy: row 3 is 7; allowed: 0 query, 1 train and retrieval"));
  SmallSet names;
  names.about = R"({"label_names": ["one"]})";
  EXPECT_THAT(message_of(names), HasSubstr("label_names must be 2 texts"));
  SmallSet json;
  json.about = "[1]";
  EXPECT_THAT(message_of(json), HasSubstr("dataset.json is not a JSON object"));
  json.about = "{";
  EXPECT_THAT(message_of(json), HasSubstr("dataset.json:1:2: not valid JSON"));
}

TEST(PreparedSet, ShapesAndTypesMustAgree) {
  const TempFolder folder;
  const auto path = SmallSet().write(folder);
  const auto with = [&](const char* file, const std::vector<std::int64_t>& shape, std::size_t n) {
    SmallSet().write(folder);
    EXPECT_TRUE(io::write_npy<std::uint8_t>(path / file, shape, std::vector<std::uint8_t>(n)));
    return PreparedSet::open(path).error().message;
  };
  EXPECT_THAT(with("images.npy", {6, 8, 24}, 1152),
              HasSubstr("images.npy is u8 [6, 8, 24]; u8 [n, H, W, 3] is needed"));
  EXPECT_THAT(with("images.npy", {0, 8, 8, 3}, 0), HasSubstr("at least one row is needed"));
  EXPECT_THAT(with("text.npy", {5, 3}, 15),
              HasSubstr("text.npy has 5 rows, the set's pictures or features have 6"));
  EXPECT_THAT(with("labels.npy", {12}, 12), HasSubstr("labels.npy is u8 [12]; u8 [n, C] is needed"));
  EXPECT_THAT(with("split.npy", {6, 1}, 6), HasSubstr("split.npy is u8 [6, 1]; u8 [n] is needed"));
  EXPECT_THAT(with("image_features.npy", {6, 1}, 6), HasSubstr("has both images.npy and image_features.npy"));
}

TEST(PreparedSet, WhatIsNotThereIsNotFound) {
  const TempFolder folder;
  const auto none = PreparedSet::open(folder / "none");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(none.error().message, HasSubstr("there is no prepared folder"));
  EXPECT_THAT(PreparedSet::open(folder.path()).error().message, HasSubstr("it has no dataset.json"));
}

TEST(Part, NamesSurviveARoundTrip) {
  for (const Part part : {Part::kQuery, Part::kTrain, Part::kRetrieval})
    EXPECT_EQ(part_from(name_of(part)), part);
  EXPECT_EQ(part_from("test").error().message,
            "'test' is not a part of a dataset; allowed: query, train, retrieval");
}

}  // namespace
}  // namespace gauntlet::data
