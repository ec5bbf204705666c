// What the loaders of people's files say when something is wrong.
#include <gmock/gmock.h>

#include <limits>

#include "core/data/inspect.hpp"
#include "core/io/npy.hpp"
#include "tests/data/custom_sources.hpp"

namespace gauntlet::data {
namespace {

using testing::HasSubstr;
using testing_support::bytes_of_file;
using testing_support::Hdf5Writer;
using testing_support::TempFolder;
namespace mat5 = testing_support::mat5;

/// images.npy, text.npy and labels.npy of a folder.
struct PlainSource {
  TempFolder folder;
  MadePairs pairs{.n = 6};
  std::vector<float> text = pairs.text<float>(false);
  std::vector<float> labels = pairs.labels<float>(false);
  std::vector<std::uint8_t> pictures = pairs.pictures("nhwc");

  std::string prepare(Json config = Json::object(), std::int64_t n_labelled = 6) const {
    std::filesystem::create_directories(folder / "src");
    EXPECT_TRUE(io::write_npy<std::uint8_t>(folder / "src/images.npy", {6, 4, 6, 3}, pictures));
    EXPECT_TRUE(io::write_npy<float>(folder / "src/text.npy", {6, 5}, text));
    EXPECT_TRUE(io::write_npy<float>(folder / "src/labels.npy", {n_labelled, 3},
                                     std::span(labels).first(static_cast<std::size_t>(n_labelled * 3))));
    config["source"] = (folder / "src").string();
    return prepare_custom(config, folder / "out");
  }
};

TEST(CustomRefusals, RowCountsThatDifferAreNamed) {
  const PlainSource source;
  EXPECT_THAT(
      source.prepare({}, 5),
      HasSubstr("the arrays do not have one number of items: images.npy#images [6, 4, 6, 3] (6 items), "
                "text.npy#text [6, 5] (6 items), labels.npy#labels [5, 3] (5 items)"));
}

TEST(CustomRefusals, ValuesAreChecked) {
  PlainSource source;
  source.labels[7] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(source.prepare(), HasSubstr("labels.npy#labels: row 2 holds NaN at label 1"));
  source.labels[7] = -3e9F;  // a value of NUS-WIDE: not above 0
  source.text[11] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(source.prepare(), HasSubstr("text.npy#text: row 2 holds inf at 1; finite numbers are needed"));
  source.text[11] = 0.5F;
  EXPECT_EQ(source.prepare(), "");
  const auto set = PreparedSet::open(source.folder / "out");
  EXPECT_EQ(set->labels()[7], 0);
  EXPECT_THAT(set->about()["warnings"].dump(), HasSubstr("1 label values are not 0, 1 or -1"));
}

TEST(CustomRefusals, PicturesAreWholeNumbersOfAByte) {
  const TempFolder folder;
  const MadePairs pairs;
  auto pictures = pairs.pictures<float>("nhwc");
  pictures[100] = 255.5F;
  {
    Hdf5Writer out(folder / "a");
    out.add("images", pairs.picture_dims("nhwc"), pictures);
    out.add("YAll", {8, 5}, pairs.text(false));
    out.add("LAll", {8, 3}, pairs.labels(false));
  }
  EXPECT_THAT(prepare_custom({{"source", (folder / "a").string()}}, folder / "out"),
              HasSubstr("images holds 255.5 in item 1; pictures are whole numbers from 0 to 255"));
}

TEST(CustomRefusals, SizesOtherThanExpectedAreNamed) {
  const PlainSource source;
  EXPECT_EQ(source.prepare({{"expect", "items=6,text=1386,labels=3"}}),
            "expect says text=1386, the source has 5");
  EXPECT_EQ(source.prepare({{"expect", "items=6,labels=24"}}), "expect says labels=24, the source has 3");
  EXPECT_THAT(source.prepare({{"expect", "rows=6"}}),
              HasSubstr("'rows=6' is not items=N, text=N or labels=N"));
  EXPECT_EQ(source.prepare({{"expect", "items=6,text=5,labels=3"}}), "");
}

TEST(CustomRefusals, MapsAreChecked) {
  const PlainSource source;
  const auto with = [&](const char* map) { return source.prepare({{"map", map}}); };
  EXPECT_THAT(with("picture=images"), HasSubstr("'picture=images' is not ROLE=KEY[:AXES]"));
  EXPECT_THAT(with("images=imagse"), HasSubstr("unknown array 'imagse'; did you mean"));
  EXPECT_THAT(with("images=images:nhwd"), HasSubstr("'nhwd' are no axes of images.npy#images [6, 4, 6, 3]"));
  EXPECT_THAT(with("images=images:nhcw"), HasSubstr("'nhcw' are no axes"));
  EXPECT_THAT(with("names=images"), HasSubstr("images.npy#images (u8 [6, 4, 6, 3]) cannot be names"));
  EXPECT_THAT(with("text=labels.npy#labels:dn"), HasSubstr("do not have one number of items"));
  EXPECT_EQ(with("text=labels,labels=labels.npy#labels:nd"), "");
  EXPECT_EQ(PreparedSet::open(source.folder / "out")->text_dim(), 3);
}

TEST(CustomRefusals, AMapTurnsWhatTheKeysDoNotSay) {
  const TempFolder folder;
  const MadePairs pairs{.n = 6};
  {
    Hdf5Writer out(folder / "a");  // keys nobody knows, width before height
    out.add("x", pairs.picture_dims("nwhb"), pairs.pictures("nwhb"));
    out.add("y", {6, 5}, pairs.text(false));
    out.add("z", {6, 3}, pairs.labels(false));
  }
  Json config = {{"source", (folder / "a").string()}};
  EXPECT_THAT(
      prepare_custom(config, folder / "out"),
      HasSubstr(
          "no array is known as images by its key; say which with map (images=KEY,text=KEY,labels=KEY); "
          "there are x (u8 [6, 6, 4, 3]), y (f64 [6, 5]), z (f64 [6, 3])"));
  config["map"] = "images=x:nwhb,text=y,labels=z";
  EXPECT_EQ(prepare_custom(config, folder / "out"), "");
  pairs.expect_in(folder / "out");
}

TEST(CustomRefusals, DamagedAndHostileFilesAreNamed) {
  const TempFolder folder;
  const MadePairs pairs{.n = 70};
  pairs.write_iall(folder / "a.mat");
  const std::string whole = bytes_of_file(folder / "a.mat");
  folder.write("cut.mat", whole.substr(0, whole.size() - 3000));
  EXPECT_THAT(prepare_custom({{"source", (folder / "cut.mat").string()}}, folder / "out"),
              HasSubstr("cut.mat cannot be opened as HDF5: truncated file"));
  std::filesystem::create_directories(folder / "loop");
  std::filesystem::create_symlink("images.npy", folder / "loop/images.npy");
  EXPECT_THAT(prepare_custom({{"source", (folder / "loop").string()}}, folder / "out"),
              HasSubstr("levels of symbolic links"));
  folder.write("names/\xFF.npy", "x");
  EXPECT_THAT(prepare_custom({{"source", (folder / "names").string()}}, folder / "out"),
              HasSubstr("has a file whose name is not UTF-8: '\\xff.npy'"));
  EXPECT_THAT(prepare_custom({{"source", (folder / "none").string()}}, folder / "out"), HasSubstr("none"));
  EXPECT_THAT(prepare_custom(Json::object(), folder / "out"), HasSubstr("'source' is missing"));
}

/// 600 pictures with a bright sky, upright in [n, H, W, 3] when `upright`, else on their sides.
std::vector<std::uint8_t> skies(std::int64_t n, bool upright) {
  std::vector<std::uint8_t> values;
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t y = 0; y < 6; ++y) {
      for (std::int64_t x = 0; x < 6; ++x) {
        const std::int64_t down = upright ? y : x;
        const std::int64_t noise = (i * 31 + y * 17 + x * 13) % 40;
        values.insert(values.end(), 3, static_cast<std::uint8_t>(200 - 25 * down + noise));
      }
    }
  }
  return values;
}

struct SkySource {
  TempFolder folder;
  SkySource(std::int64_t n, bool upright) {
    const MadePairs pairs{.n = n};
    Hdf5Writer out(folder / "sky");
    out.add("images", {static_cast<hsize_t>(n), 6, 6, 3}, skies(n, upright));
    out.add("YAll", {static_cast<hsize_t>(n), 5}, pairs.text(false));
    out.add("LAll", {static_cast<hsize_t>(n), 3}, pairs.labels(false));
  }
  [[nodiscard]] std::string prepare(const std::string& map = "") const {
    return prepare_custom({{"source", (folder / "sky").string()}, {"map", map}}, folder / "out");
  }
};

TEST(AxisTest, PicturesThatLieOnTheirSidesAreTurnedAndItIsSaid) {
  const SkySource source(600, false);
  ASSERT_EQ(source.prepare(), "");
  const auto set = PreparedSet::open(source.folder / "out");
  EXPECT_TRUE(std::ranges::equal(set->images(), [] {
    auto upright = skies(600, false);
    auto turned = upright;
    for (std::size_t i = 0; i < 600; ++i) {
      for (std::size_t y = 0; y < 6; ++y) {
        for (std::size_t x = 0; x < 6; ++x) {
          for (std::size_t c = 0; c < 3; ++c)
            turned[((i * 6 + y) * 6 + x) * 3 + c] = upright[((i * 6 + x) * 6 + y) * 3 + c];
        }
      }
    }
    return turned;
  }()));
  EXPECT_EQ(set->about()["choices"]["arrays"]["images"]["axes"], "nwhc");
  EXPECT_EQ(set->about()["choices"]["axis_test"]["verdict"], "transposed");
  EXPECT_THAT(
      set->about()["warnings"].dump(),
      HasSubstr(
          "axes of images: 'nwhc' instead of the usual 'nhwc', because the pictures lie on their sides: "
          "over 600 of them"));
}

TEST(AxisTest, AMapThatThePicturesContradictIsRefused) {
  const SkySource lying(600, false);
  EXPECT_THAT(lying.prepare("images=images:nhwc"),
              HasSubstr("map says that the axes of images are 'nhwc', but the pictures lie on their sides"));
  EXPECT_EQ(lying.prepare("images=images:nwhc"), "");
  const SkySource standing(600, true);
  EXPECT_THAT(standing.prepare("images=images:nwhc"), HasSubstr("leave the axes out, or write 'nhwc'"));
  EXPECT_EQ(standing.prepare("images=images:nhwc"), "");
  const auto set = PreparedSet::open(standing.folder / "out");
  EXPECT_EQ(set->about()["choices"]["axis_test"]["verdict"], "upright");
  EXPECT_EQ(set->about()["warnings"], Json::array());
}

TEST(AxisTest, FewPicturesDecideNothing) {
  const SkySource few(499, false);
  EXPECT_EQ(few.prepare("images=images:nhwc"), "");
  EXPECT_THAT(about_of(few.folder / "out")["warnings"].dump(),
              HasSubstr("fewer than 500 pictures cannot be tested"));
}

}  // namespace
}  // namespace gauntlet::data
