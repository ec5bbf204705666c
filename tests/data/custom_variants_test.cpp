// Forms of a family that differ from its usual one, and what is known of whole files.
#include <gmock/gmock.h>

#include <map>

#include "core/base/random.hpp"
#include "core/data/inspect.hpp"
#include "tests/data/custom_sources.hpp"
#include "tests/support/jpeg_file.hpp"

namespace gauntlet::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::Hdf5Writer;
using testing_support::TempFolder;
namespace mat5 = testing_support::mat5;

/// DJSRH's NUS-WIDE: the text is in MAT v7.3 with its items last, the labels in MAT v5.
TEST(CustomVariants, EveryFileOfOneVariableIsLookedAtByItself) {
  const TempFolder folder;
  const MadePairs pairs;
  std::filesystem::create_directories(folder / "src");
  {
    Hdf5Writer out(folder / "src/nus-wide-tc10-iall.mat", true);
    out.add("IAll", pairs.picture_dims("ncwh"), pairs.pictures("ncwh"), {.matlab_class = "uint8"});
  }
  {
    Hdf5Writer out(folder / "src/nus-wide-tc10-yall.mat", true);
    out.add("YAll", {5, 8}, pairs.text(true), {.matlab_class = "double"});
  }
  folder.write("src/nus-wide-tc10-lall.mat", mat5::file({mat5::packed(pairs.mat5_labels())}));
  EXPECT_EQ(prepare_custom({{"source", (folder / "src").string()}}, folder / "out"), "");
  pairs.expect_in(folder / "out");
}

/// CPAH's NUS-WIDE-TC21 calls its arrays otherwise than its FLICKR-25K.
TEST(CustomVariants, FeaturesHaveTwoSetsOfKeys) {
  const TempFolder folder;
  const MadePairs pairs;
  const auto feature = [](std::int64_t i, std::int64_t d) { return static_cast<float>(i - d); };
  folder.write("f.mat", mat5::file({mat5::numbers<float>("image", mat5::kSingle, {8, 7}, mat5::kF32,
                                                         pairs.matrix<float>(7, true, feature)),
                                    pairs.mat5_text("text"), pairs.mat5_labels("label")}));
  EXPECT_EQ(prepare_custom({{"source", (folder / "f.mat").string()}}, folder / "out"), "");
  const auto set = PreparedSet::open(folder / "out");
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_TRUE(std::ranges::equal(set->features(), pairs.matrix<float>(7, false, feature)));
  pairs.expect_text_and_labels(*set);
}

/// One caption an item is an array of chars, n x 1 x the longest.
TEST(CustomVariants, CaptionsMayBeAnArrayOfChars) {
  const TempFolder folder;
  for (const char* name : {"a", "b"})
    folder.write(std::string("src/") + name + ".jpg", testing_support::plain_jpeg(9, 9, 1, 2, 3));
  folder.write("src/index.mat", mat5::file({mat5::chars("index", {"a.jpg", "b.jpg"})}));
  std::vector<std::uint16_t> units;
  const std::string captions[] = {"a red cat", "dog      "};
  for (std::size_t letter = 0; letter < captions[0].size(); ++letter)
    for (const std::string& caption : captions) units.push_back(static_cast<std::uint8_t>(caption[letter]));
  folder.write("src/caption.mat", mat5::file({mat5::matrix("caption", mat5::kChar, {2, 1, 9},
                                                           mat5::element(mat5::kU16, mat5::raw(units)))}));
  folder.write(
      "src/label.mat",
      mat5::file({mat5::numbers<std::int8_t>("category", mat5::kDouble, {2, 2}, mat5::kI8, {1, 0, 0, 1})}));
  EXPECT_EQ(prepare_custom({{"source", (folder / "src").string()}, {"image_px", 8}}, folder / "out"), "");
  const auto set = PreparedSet::open(folder / "out");
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_EQ(about_of(folder / "out")["text_names"], (Json{"cat", "dog", "red"}));
  EXPECT_THAT(set->text_u8(), ElementsAre(1, 0, 1, /**/ 0, 1, 0));
}

TEST(CustomVariants, QueriesThatAreInTheRetrievalSetTooAreRefused) {
  const TempFolder folder;
  const MadePairs pairs{.n = 4};
  {
    Hdf5Writer out(folder / "daph");
    const auto add = [&](const std::string& x, const std::string& y, const std::string& l, hsize_t first,
                         hsize_t n) {
      const auto rows = [&](const std::vector<std::uint8_t>& all) {
        const std::size_t width = all.size() / 4;
        return std::vector<std::uint8_t>(all.begin() + static_cast<std::ptrdiff_t>(first * width),
                                         all.begin() + static_cast<std::ptrdiff_t>((first + n) * width));
      };
      out.add(x, {n, 4, 6, 3}, rows(pairs.pictures("nhwc")));
      out.add(y, {n, 5}, rows(pairs.text<std::uint8_t>(false)));
      out.add(l, {n, 3}, rows(pairs.labels<std::uint8_t>(false)));
    };
    add("test_data", "test_y", "test_L", 0, 2);
    add("train_data", "train_y", "train_L", 2, 1);
    add("data_set", "dataset_y", "dataset_L", 1, 3);
  }
  EXPECT_THAT(prepare_custom({{"source", (folder / "daph").string()}}, folder / "out"),
              HasSubstr("query and retrieval overlap: query row 1 (test_L) is in the retrieval set too"));
}

/// As many rows as FLICKR-25K has, of features: the split is CPAH's, and verify compares what is published.
TEST(CustomVariants, AFileOfAKnownLengthIsComparedWithWhatIsKnownOfIt) {
  const TempFolder folder;
  constexpr std::int32_t kRows = 20015;
  const MadePairs pairs{.n = kRows};
  const auto feature = [](std::int64_t i, std::int64_t) { return static_cast<float>(i); };
  folder.write("f.mat", mat5::file({mat5::numbers<float>("images", mat5::kSingle, {kRows, 1}, mat5::kF32,
                                                         pairs.matrix<float>(1, true, feature)),
                                    pairs.mat5_text(), pairs.mat5_labels()}));
  ASSERT_EQ(prepare_custom({{"source", (folder / "f.mat").string()}}, folder / "out"), "");
  const auto set = PreparedSet::open(folder / "out");
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_EQ(set->rows(Part::kQuery).front(), 18015) << "the last rows are queries";
  const Json report = verify(folder / "out").value();
  std::map<std::string, std::string> failed;
  std::map<std::string, std::string> passed;
  for (const Json& check : report["checks"])
    (check["ok"] == true ? passed : failed)[check["name"]] = check["detail"];
  EXPECT_EQ(failed["published number of labels"], "3 was found, 24 is published (-21)");
  EXPECT_EQ(failed["published number of text dimensions"], "5 was found, 1386 is published (-1381)");
  EXPECT_EQ(passed["published items without text"], "0");
  EXPECT_EQ(passed["published number of queries"], "2000");
  EXPECT_EQ(passed["published number of training items"], "10000");
  EXPECT_EQ(passed["published items without a label"], "0");
}

TEST(CustomVariants, ASplitThatCannotBeIsRefusedBeforeAnythingIsWritten) {
  const TempFolder folder;
  const MadePairs pairs;
  pairs.write_iall(folder / "a.mat");
  const auto refusal = [&](Json config) {
    config["source"] = (folder / "a.mat").string();
    const std::string error = prepare_custom(config, folder / "out");
    EXPECT_FALSE(is_unfinished(folder / "out")) << "the corrected command must be able to begin";
    return error;
  };
  EXPECT_EQ(refusal({{"n_query", 50}}),
            "50 queries and 0 training items are more than the 8 items of the set");
  EXPECT_EQ(refusal({{"n_query", 5}, {"n_train", 4}, {"split", "row_order"}}),
            "5 queries and 4 training items are more than the 8 items of the set");
  EXPECT_THAT(refusal({{"split", "per_class"}, {"query_per_label", 7}}), HasSubstr("too few items"));
}

/// Pictures of noise, whose mean is a little brighter somewhere.
TEST(CustomVariants, NoiseIsNotTurned) {
  constexpr std::int64_t kPictures = 600;
  const MadePairs pairs{.n = kPictures};
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    const TempFolder folder;
    RandomStream random = RandomStream::of(seed, 1, 0);
    std::vector<std::uint8_t> noise;
    for (std::int64_t pixel = 0; pixel < kPictures * 36; ++pixel)
      noise.insert(noise.end(), 3, static_cast<std::uint8_t>(random.below(256)));
    {
      Hdf5Writer out(folder / "noise");
      out.add("images", {kPictures, 6, 6, 3}, noise);
      out.add("YAll", {kPictures, 5}, pairs.text(false));
      out.add("LAll", {kPictures, 3}, pairs.labels(false));
    }
    ASSERT_EQ(prepare_custom({{"source", (folder / "noise").string()}}, folder / "out"), "");
    EXPECT_EQ(about_of(folder / "out")["choices"]["axis_test"]["verdict"], "unclear") << seed;
  }
}

}  // namespace
}  // namespace gauntlet::data
