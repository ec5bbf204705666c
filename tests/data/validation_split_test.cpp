#include "core/data/validation_split.hpp"

#include <gmock/gmock.h>

#include <algorithm>

#include "core/data/prepared_set.hpp"
#include "tests/data/small_set.hpp"

namespace gauntlet::data {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::IsSubsetOf;
using testing::Not;
using testing::SizeIs;
using testing_support::TempFolder;

/// 40 items: 8 queries, 12 for training, 20 retrieved only.
class ValidationSplit : public testing::Test {
 protected:
  ValidationSplit() {
    SmallSet small;
    small.split.assign(40, 2);
    for (std::size_t row = 0; row < 40; row += 5) small.split[row] = 0;
    for (std::size_t row = 1; row < 37; row += 3) {
      if (small.split[row] == 2) small.split[row] = 1;
    }
    small.text.assign(40 * 3, 1);
    small.labels.assign(40 * 2, 1);
    small.fill_images();
    from_ = small.write(folder_);
  }
  Result<PreparedSet> split(const ValidationChoice& choice, std::string_view id = "an id") {
    const fs::path to = folder_ / fmt::format("split {}", n_++);
    fs::create_directories(to);
    GAUNTLET_CHECK_OK(write_validation_split(from_, to, id, choice));
    return PreparedSet::open(to);
  }
  std::vector<std::int64_t> items(const ValidationChoice& choice, std::string_view id = "an id") {
    const auto set = split(choice, id);
    EXPECT_TRUE(set) << set.error().message;
    return set ? set->rows(Part::kQuery) : std::vector<std::int64_t>();
  }

  TempFolder folder_;
  fs::path from_;
  int n_ = 0;
};

TEST_F(ValidationSplit, ItsItemsAreOutsideTrainAndNoQueries) {
  const auto whole = PreparedSet::open(from_);
  ASSERT_TRUE(whole);
  for (const std::int64_t n : {1, 7, 20}) {
    const auto set = split({n, 3});
    ASSERT_TRUE(set) << set.error().message;
    const std::vector<std::int64_t>& items = set->rows(Part::kQuery);
    EXPECT_THAT(items, SizeIs(static_cast<std::size_t>(n)));
    EXPECT_THAT(items, IsSubsetOf(whole->rows(Part::kRetrieval)));
    for (const std::int64_t row : whole->rows(Part::kTrain)) EXPECT_THAT(items, Not(testing::Contains(row)));
    EXPECT_THAT(set->rows(Part::kTrain), ElementsAreArray(whole->rows(Part::kTrain)));
    std::vector<std::int64_t> rest;
    std::ranges::set_difference(whole->rows(Part::kRetrieval), items, std::back_inserter(rest));
    EXPECT_THAT(set->rows(Part::kRetrieval), ElementsAreArray(rest)) << "nothing retrieves itself";
    EXPECT_EQ(set->n_items(), 40) << "rows are those of the whole set";
    EXPECT_THAT(set->images(), ElementsAreArray(whole->images()));
  }
}

TEST_F(ValidationSplit, SeedAndDatasetDrawIt) {
  const auto first = items({7, 3});
  EXPECT_EQ(items({7, 3}), first);
  EXPECT_NE(items({7, 4}), first);
  EXPECT_NE(items({7, 3}, "another"), first);
}

TEST_F(ValidationSplit, SaysWhatItIs) {
  const auto set = split({7, 3});
  ASSERT_TRUE(set);
  EXPECT_EQ(set->about().at("validation"), (Json{{"items", 7}, {"seed", 3}, {"of", "an id"}}));
  EXPECT_EQ(set->about().at("counts"), (Json{{"items", 40},
                                             {"query", 7},
                                             {"train", set->rows(Part::kTrain).size()},
                                             {"retrieval", set->rows(Part::kRetrieval).size()}}));
  EXPECT_EQ(set->about().at("name"), "small");
}

TEST_F(ValidationSplit, MoreThanThereAreIsRefused) {
  const auto whole = PreparedSet::open(from_);
  const std::size_t n = whole->rows(Part::kRetrieval).size() - whole->rows(Part::kTrain).size();
  const auto none = split({0, 1});
  const auto more = split({static_cast<std::int64_t>(n) + 1, 1});
  ASSERT_FALSE(none);
  ASSERT_FALSE(more);
  EXPECT_THAT(
      more.error().message,
      HasSubstr(fmt::format("a validation split of {} items was asked for; allowed: 1 to {}, the items of "
                            "the retrieval set outside train",
                            n + 1, n)));
}

}  // namespace
}  // namespace gauntlet::data
