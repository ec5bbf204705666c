// Every family of files becomes the same prepared folder.
#include <gmock/gmock.h>

#include <cmath>

#include "core/base/hash.hpp"
#include "core/io/npy.hpp"
#include "core/io/safetensors.hpp"
#include "tests/data/custom_sources.hpp"
#include "tests/support/jpeg_file.hpp"

namespace gauntlet::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::Hdf5Storage;
using testing_support::Hdf5Writer;
using testing_support::TempFolder;
namespace mat5 = testing_support::mat5;

constexpr const char* kNFastest = "TA-DCH / EQB2A line (n fastest)";

TEST(CustomFamilies, ThePapersLineIsTurnedItemByItem) {
  const TempFolder folder;
  const MadePairs pairs{.n = 300};  // above one tile of 64
  pairs.write_iall(folder / "FLICKR-25K.mat");
  EXPECT_EQ(prepare_custom({{"source", (folder / "FLICKR-25K.mat").string()}}, folder / "out"), "");
  pairs.expect_in(folder / "out");
  const Json about = about_of(folder / "out");
  EXPECT_EQ(about["family"], kNFastest);
  EXPECT_EQ(about["choices"]["arrays"]["images"], (Json{{"array", "IAll"}, {"axes", "whcn"}}));
  EXPECT_EQ(about["choices"]["split"], "random");
  EXPECT_EQ(about["counts"]["query"], 30);
  EXPECT_THAT(about["warnings"][0].get<std::string>(), HasSubstr("fewer than 500 pictures cannot be tested"));
}

TEST(CustomFamilies, ChunksOfAnyShapeGiveTheSameBytes) {
  const TempFolder folder;
  const MadePairs pairs{.n = 70, .height = 5, .width = 7};
  int number = 0;
  for (const std::vector<hsize_t>& chunk : std::vector<std::vector<hsize_t>>{
           {7, 5, 3, 1}, {1, 5, 3, 70}, {3, 2, 3, 17}, {1, 1, 1, 70}, {7, 5, 3, 70}}) {
    const std::string name = std::to_string(number++);
    pairs.write_iall(folder / (name + ".mat"), {.chunk = chunk, .deflate = true});
    EXPECT_EQ(prepare_custom({{"source", (folder / (name + ".mat")).string()}}, folder / name), "");
    pairs.expect_in(folder / name);
  }
}

TEST(CustomFamilies, MatlabFilesOfDcmhAreRead) {
  const TempFolder folder;
  const MadePairs pairs;
  {
    Hdf5Writer out(folder / "a.mat", true);  // MATLAB's H x W x 3 x n
    out.add("images", pairs.picture_dims("ncwh"), pairs.pictures("ncwh"), {.matlab_class = "uint8"});
    out.add("YAll", {5, 8}, pairs.text(true), {.matlab_class = "double"});
    out.add("LAll", {3, 8}, pairs.labels(true), {.matlab_class = "double"});
  }
  EXPECT_EQ(prepare_custom({{"source", (folder / "a.mat").string()}}, folder / "out"), "");
  pairs.expect_in(folder / "out");
  EXPECT_EQ(about_of(folder / "out")["family"], "DCMH / SSAH");
}

TEST(CustomFamilies, PythonsHdf5IsRead) {
  const TempFolder folder;
  const MadePairs pairs;
  for (const std::string axes : {"nhwc", "nchw"}) {
    {
      Hdf5Writer out(folder / axes);
      out.add("images", pairs.picture_dims(axes), pairs.pictures(axes), {.chunk = {3, 2, 2, 2}});
      out.add("YAll", {8, 5}, pairs.text(false));
      out.add("LAll", {8, 3}, pairs.labels(false));
    }
    EXPECT_EQ(prepare_custom({{"source", (folder / axes).string()}}, folder / ("out" + axes)), "");
    pairs.expect_in(folder / ("out" + axes));
    EXPECT_EQ(about_of(folder / ("out" + axes))["family"], "WendellGul DCMH (n first)");
  }
}

TEST(CustomFamilies, FilesOfOneVariableEachAreJoined) {
  const TempFolder folder;
  const MadePairs pairs;
  std::filesystem::create_directories(folder / "src");
  {
    Hdf5Writer out(folder / "src/mirflickr25k-iall.mat", true);
    out.add("IAll", pairs.picture_dims("ncwh"), pairs.pictures("ncwh"), {.matlab_class = "uint8"});
  }
  folder.write("src/mirflickr25k-yall.mat", mat5::file({mat5::packed(pairs.mat5_text())}));
  folder.write("src/mirflickr25k-lall.mat", mat5::file({pairs.mat5_labels()}));
  folder.write("src/readme", "hello\n");
  EXPECT_EQ(prepare_custom({{"source", (folder / "src").string()}}, folder / "out"), "");
  pairs.expect_in(folder / "out");
  EXPECT_EQ(about_of(folder / "out")["family"], "DCMH / SSAH, one variable per file");
}

TEST(CustomFamilies, FeaturesAreKeptOrStandardisedByOneMeanAndDeviation) {
  const TempFolder folder;
  const MadePairs pairs;
  const auto feature = [](std::int64_t i, std::int64_t d) { return static_cast<double>(i * 10 + d) / 4; };
  const std::string features = mat5::numbers<double>("images", mat5::kDouble, {8, 7}, mat5::kF64,
                                                     pairs.matrix<double>(7, true, feature));
  folder.write("f.mat", mat5::file({mat5::packed(features), pairs.mat5_text(), pairs.mat5_labels()}));
  const std::string source = (folder / "f.mat").string();
  EXPECT_EQ(prepare_custom({{"source", source}}, folder / "raw"), "");
  const auto raw = PreparedSet::open(folder / "raw");
  ASSERT_TRUE(raw);
  EXPECT_EQ(raw->feature_dim(), 7);
  pairs.expect_text_and_labels(*raw);
  EXPECT_TRUE(std::ranges::equal(raw->features(), pairs.matrix<float>(7, false, feature)));
  EXPECT_EQ(about_of(folder / "raw")["family"], "DADH / CPAH features");
  EXPECT_EQ(prepare_custom({{"source", source}, {"standardize", true}}, folder / "std"), "");
  const auto standardised = PreparedSet::open(folder / "std");
  double sum = 0;
  double squares = 0;
  for (const float value : standardised->features()) {
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / 56, 0, 1e-6);
  EXPECT_NEAR(squares / 56, 1, 1e-6);
  EXPECT_DOUBLE_EQ(about_of(folder / "std")["choices"]["feature_mean"], 9.5);
}

TEST(CustomFamilies, TheSplitOfDapsFileIsKept) {
  const TempFolder folder;
  const MadePairs pairs{.n = 6};
  const auto rows = [&](const std::vector<std::uint8_t>& all, std::int64_t first, std::int64_t n) {
    const auto width = static_cast<std::ptrdiff_t>(all.size()) / 6;
    return std::vector<std::uint8_t>(all.begin() + first * width, all.begin() + (first + n) * width);
  };
  {
    Hdf5Writer out(folder / "daph");
    const auto add = [&](const std::string& x, const std::string& y, const std::string& l, std::int64_t first,
                         std::int64_t n) {
      const auto count = static_cast<hsize_t>(n);
      out.add(x, {count, 4, 6, 3}, rows(pairs.pictures("nhwc"), first, n));
      out.add(y, {count, 5}, rows(pairs.text<std::uint8_t>(false), first, n));
      out.add(l, {count, 3}, rows(pairs.labels<std::uint8_t>(false), first, n));
    };
    add("test_data", "test_y", "test_L", 0, 2);
    add("train_data", "train_y", "train_L", 3, 2);
    add("data_set", "dataset_y", "dataset_L", 2, 4);
  }
  EXPECT_EQ(prepare_custom({{"source", (folder / "daph").string()}}, folder / "out"), "");
  const auto set = PreparedSet::open(folder / "out");
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_EQ(set->n_items(), 6);  // retrieval 2..5, with 3 and 4 as train, then the queries 0 and 1
  EXPECT_THAT(set->rows(Part::kTrain), ElementsAre(1, 2));
  EXPECT_THAT(set->rows(Part::kQuery), ElementsAre(4, 5));
  EXPECT_EQ(set->images()[0], MadePairs::pixel(2, 0, 0, 0));
  EXPECT_EQ(set->images()[4 * 4 * 6 * 3], MadePairs::pixel(0, 0, 0, 0));
  EXPECT_EQ(about_of(folder / "out")["choices"]["split"], "source");
}

TEST(CustomFamilies, BgrIntegersOfCoco4CmhBecomeRgbBytes) {
  const TempFolder folder;
  const MadePairs pairs;
  {
    Hdf5Writer out(folder / "coco");
    out.add("IAll", {8, 4, 6, 3}, pairs.pictures<std::int32_t>("nhwb"));
    out.add("YAll", {8, 5}, pairs.text(false));
    out.add("LAll", {8, 3}, pairs.labels(false));
    out.add<std::int32_t>("Index", {8}, {0, 1, 2, 3, 4, 5, 6, 7});
  }
  EXPECT_EQ(prepare_custom({{"source", (folder / "coco").string()}}, folder / "out"), "");
  pairs.expect_in(folder / "out");
  EXPECT_EQ(about_of(folder / "out")["family"], "COCO4CMH");
}

TEST(CustomFamilies, PlainArraysWithTheirSplitAreRead) {
  const TempFolder folder;
  const MadePairs pairs;
  std::filesystem::create_directories(folder / "src");
  const std::vector<std::uint8_t> split = {2, 0, 1, 2, 1, 0, 2, 2};
  ASSERT_TRUE(io::write_npy<std::uint8_t>(folder / "src/images.npy", {8, 4, 6, 3}, pairs.pictures("nhwc")));
  ASSERT_TRUE(io::write_npy<double>(folder / "src/text.npy", {8, 5}, pairs.text(false)));
  ASSERT_TRUE(
      io::write_npy<std::uint8_t>(folder / "src/labels.npy", {8, 3}, pairs.labels<std::uint8_t>(false)));
  ASSERT_TRUE(io::write_npy<std::uint8_t>(folder / "src/split.npy", {8}, split));
  EXPECT_EQ(prepare_custom({{"source", (folder / "src").string()}}, folder / "out"), "");
  pairs.expect_in(folder / "out");
  EXPECT_THAT(PreparedSet::open(folder / "out")->rows(Part::kQuery), ElementsAre(1, 5));

  std::vector<float> real = pairs.text<float>(false);
  real[3] = -0.25F;
  const auto pictures = pairs.pictures("nhwc");
  const auto labels = pairs.labels<std::uint8_t>(false);
  ASSERT_TRUE(io::write_safetensors(folder / "all.safetensors",
                                    {{"images", io::view_of<std::uint8_t>({8, 4, 6, 3}, pictures)},
                                     {"text", io::view_of<float>({8, 5}, real)},
                                     {"labels", io::view_of<std::uint8_t>({8, 3}, labels)}}));
  EXPECT_EQ(prepare_custom({{"source", (folder / "all.safetensors").string()},
                            {"split", "row_order"},
                            {"n_query", 2},
                            {"n_train", 3},
                            {"queries_at", "tail"}},
                           folder / "real"),
            "");
  const auto set = PreparedSet::open(folder / "real");
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_TRUE(std::ranges::equal(set->text_f32(), real));
  EXPECT_THAT(set->rows(Part::kQuery), ElementsAre(6, 7));
}

/// A folder of four JPEGs of one colour each.
void write_pictures(const TempFolder& folder) {
  for (int i = 0; i < 4; ++i) {
    folder.write("src/d/im" + std::to_string(i) + ".jpg",
                 testing_support::jpeg_bytes(16, 16, [i](int, int, int) { return 60 * i; }));
  }
}

TEST(CustomFamilies, TriplesOfPictureNamesAndCaptionsBecomePicturesAndWords) {
  const TempFolder folder;
  write_pictures(folder);
  folder.write("src/index.mat",
               mat5::file({mat5::chars("index", {"d/im0.jpg", "d/im1.jpg", "d/im2.jpg", "d/im3.jpg"})}));
  folder.write("src/caption.mat",
               mat5::file({mat5::cells("caption", {1, 4},
                                       {{"A cat on a mat", "the cat"}, {"dog"}, {"123456"}, {"cat, dog"}})}));
  folder.write("src/label.mat",
               mat5::file({mat5::numbers<std::uint8_t>("category", mat5::kDouble, {4, 2}, mat5::kU8,
                                                       {1, 0, 1, 0, 0, 1, 0, 1})}));
  EXPECT_EQ(prepare_custom({{"source", (folder / "src").string()}, {"image_px", 8}}, folder / "out"), "");
  const auto set = PreparedSet::open(folder / "out");
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_EQ(about_of(folder / "out")["family"], "DCHMT triple");
  EXPECT_EQ(about_of(folder / "out")["text_names"], (Json{"cat", "dog", "mat"}));
  EXPECT_THAT(set->text_u8(), ElementsAre(1, 0, 1, /**/ 0, 1, 0, /**/ 0, 0, 0, /**/ 1, 1, 0));
  EXPECT_THAT(set->labels(), ElementsAre(1, 0, 0, 1, 1, 0, 0, 1));
  EXPECT_NEAR(set->images()[2 * 8 * 8 * 3], 120, 3);
}

/// NUS-WIDE in that form: a caption is what the owner of the photo typed, in a text file.
TEST(CustomFamilies, CaptionsMayBeALineOfTextEach) {
  const TempFolder folder;
  write_pictures(folder);
  folder.write("src/index.mat",
               mat5::file({mat5::chars("index", {"d/im0.jpg", "d/im1.jpg ", "d/im2.jpg", "d/im3.jpg"})}));
  folder.write("src/label.mat",
               mat5::file({mat5::numbers<std::int64_t>("category", mat5::kInt64, {4, 2}, mat5::kI64,
                                                       {1, 0, 1, 0, 0, 1, 0, 1})}));
  const Json config = {{"source", (folder / "src").string()}, {"image_px", 8}};
  // The first line ends like a line of a list of paths and labels; Windows ends lines with two bytes.
  folder.write("src/caption.txt",
               "cat 10 0 1\r\n123456\r\n\r\nDog, cat \xe7"
               "a\r\n");
  EXPECT_EQ(prepare_custom(config, folder / "out"), "");
  const auto set = PreparedSet::open(folder / "out");
  ASSERT_TRUE(set) << set.error().message;
  const Json about = about_of(folder / "out");
  EXPECT_EQ(about["family"], "DCHMT triple");
  EXPECT_EQ(about["choices"]["arrays"]["captions"], (Json{{"file", "caption.txt"}}));
  EXPECT_EQ(about["text_names"], (Json{"cat", "10", "dog"}));
  EXPECT_THAT(set->text_u8(), ElementsAre(1, 1, 0, /**/ 0, 0, 0, /**/ 0, 0, 0, /**/ 1, 0, 1));
  EXPECT_THAT(set->labels(), ElementsAre(1, 0, 0, 1, 1, 0, 0, 1));

  folder.write("src/caption.txt", "cat\ndog\nbird\n");
  EXPECT_THAT(prepare_custom(config, folder / "no"),
              HasSubstr("caption.txt has 3 rows, label.mat#category has 4"));
}

TEST(CustomFamilies, TorchcmhNamesInTwoColumnsAreJoined) {
  const TempFolder folder;
  write_pictures(folder);
  folder.write("src/imgList.mat",
               mat5::file({mat5::cells(
                   "imgs", {4, 2},
                   {{"d"}, {"d"}, {"d"}, {"d"}, {"im0.jpg"}, {"im1.jpg"}, {"im2.jpg"}, {"im3.jpg"}})}));
  const MadePairs pairs{.n = 4};
  folder.write("src/tagList.mat", mat5::file({pairs.mat5_text("tags")}));
  folder.write("src/labelList.mat", mat5::file({pairs.mat5_labels("labels")}));
  EXPECT_EQ(prepare_custom({{"source", (folder / "src").string()}, {"image_px", 8}}, folder / "out"), "");
  const auto set = PreparedSet::open(folder / "out");
  ASSERT_TRUE(set) << set.error().message;
  pairs.expect_text_and_labels(*set);
  EXPECT_NEAR(set->images()[3 * 8 * 8 * 3], 180, 3);
  EXPECT_EQ(about_of(folder / "out")["family"], "torchcmh triple");
  // A picture that is not there leaves its item out, or is an error.
  std::filesystem::remove(folder / "src/d/im1.jpg");
  EXPECT_EQ(prepare_custom({{"source", (folder / "src").string()}, {"image_px", 8}}, folder / "less"), "");
  EXPECT_EQ(PreparedSet::open(folder / "less")->n_items(), 3);
  EXPECT_THAT(prepare_custom({{"source", (folder / "src").string()}, {"image_px", 8}, {"strict", true}},
                             folder / "no"),
              HasSubstr("im1.jpg"));
}

TEST(CustomFamilies, ListsNeedAWordAboutTheirText) {
  const TempFolder folder;
  write_pictures(folder);
  folder.write("src/test.txt", "d/im0.jpg 1 0\n");
  folder.write("src/train.txt", "d/im1.jpg 0 1\n");
  folder.write("src/database.txt", "d/im1.jpg 0 1\nd/im2.jpg 1 1\nd/im3.jpg 0 0\n");
  const Json config = {{"source", (folder / "src").string()}, {"image_px", 8}};
  EXPECT_THAT(prepare_custom(config, folder / "out"),
              HasSubstr("there is no text here, only pictures and labels"));
  Json with_text = config;
  with_text["text"] = "labels";
  EXPECT_EQ(prepare_custom(with_text, folder / "out"), "");
  const auto set = PreparedSet::open(folder / "out");
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_THAT(set->labels(), ElementsAre(0, 1, /**/ 1, 1, /**/ 0, 0, /**/ 1, 0));
  EXPECT_TRUE(std::ranges::equal(set->text_u8(), set->labels()));
  EXPECT_THAT(set->rows(Part::kTrain), ElementsAre(0));
  EXPECT_THAT(set->rows(Part::kQuery), ElementsAre(3));
  folder.write("src/test.txt", "d/im2.jpg 1 1\n");
  EXPECT_THAT(prepare_custom(with_text, folder / "no"),
              HasSubstr("query and retrieval overlap: query row 0 (d/im2.jpg) is in the retrieval set too"));
}

}  // namespace
}  // namespace gauntlet::data
