// Collections of drawings: which folders count, which words, and how a picture of any size is drawn.
#include "core/data/detail/clipart.hpp"

#include <gmock/gmock.h>
#include <png.h>

#include <map>

#include "core/base/files.hpp"
#include "core/data/detail/emoji_drawings.hpp"
#include "core/io/png.hpp"
#include "core/io/png_rows.hpp"
#include "tests/data/picto_support.hpp"
#include "tests/data/picto_xl_support.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing_support::TempFolder;

constexpr const char* kSvg =
    "<svg><metadata><rdf:RDF><cc:Work><dc:title>Red &amp; Green Apple by Ann</dc:title>"
    "<dc:description>A <b>fruit</b> drawn with "
    "Inkscape</dc:description><dc:subject><rdf:Bag><rdf:li>fruit</rdf:li>"
    "<rdf:li>food</rdf:li></rdf:Bag></dc:subject><dc:publisher><cc:Agent><dc:title>Open Clip Art</dc:title>"
    "</cc:Agent></dc:publisher><dc:creator><cc:Agent><dc:title>Ann Other</dc:title></cc:Agent></dc:creator>"
    "</cc:Work></rdf:RDF></metadata><title>sodipodi drawing</title></svg>";

/// RGBA, as libpng's simplified writer makes it.
void write_rgba(const std::filesystem::path& path, unsigned width, unsigned height,
                const std::vector<std::uint8_t>& pixels) {
  std::filesystem::create_directories(path.parent_path());
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = width;
  image.height = height;
  image.format = PNG_FORMAT_RGBA;
  ASSERT_NE(png_image_write_to_file(&image, path.c_str(), 0, pixels.data(), 0, nullptr), 0);
}

std::vector<std::uint8_t> filled(std::size_t n, std::uint8_t red, std::uint8_t alpha) {
  std::vector<std::uint8_t> pixels;
  for (std::size_t at = 0; at < n; ++at) pixels.insert(pixels.end(), {red, 0, 0, alpha});
  return pixels;
}

TEST(Clipart, WordsOfAnSvgAreItsTitleDescriptionAndKeywordsWithoutPeopleAndTools) {
  EXPECT_THAT(detail::words_of_svg(kSvg), ElementsAre("apple", "drawn", "food", "fruit", "green", "red"));
  EXPECT_THAT(detail::words_of_svg("<svg/>"), IsEmpty());
  EXPECT_THAT(detail::words_of_svg("<metadata><dc:title>cut"), IsEmpty());
}

TEST(Clipart, WordsOfAStampAreItsFirstLine) {
  EXPECT_THAT(detail::words_of_stamp("A ball of the cat.\nde.utf8=Ein Ball\n"), ElementsAre("ball", "cat"));
}

std::vector<std::string> labels_of(detail::LabelMask mask) {
  std::vector<std::string> found;
  const auto names = detail::xl_label_names();
  for (std::size_t at = 0; at < names.size(); ++at)
    if ((mask >> at & 1U) != 0) found.push_back(names[at]);
  return found;
}

TEST(Clipart, FoldersSayTheLabelsAndThoseWithoutArePassedOver) {
  const TempFolder folder;
  for (const char* name : {"food/fruit/apple_ann_01.png", "food/apple_ann_02.png",
                           "animals/birds/penguin/tux.png", "special/x.png", "foodstuff/y.png"})
    write_rgba(folder / "png" / name, 1, 1, filled(1, 9, 255));
  folder.write("svg/food/fruit/apple_ann_01.svg", kSvg);
  std::filesystem::create_symlink(folder / "png/food/apple_ann_02.png", folder / "png/food/link.png");
  const auto found = detail::read_openclipart(folder.path());
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->size(), 3U);
  EXPECT_THAT(labels_of((*found)[0].labels), ElementsAre("animal", "bird"));
  EXPECT_THAT(labels_of((*found)[1].labels), ElementsAre("food"));
  EXPECT_THAT((*found)[1].words, IsEmpty());
  EXPECT_THAT(labels_of((*found)[2].labels), ElementsAre("plant", "food", "fruit_veg"));
  EXPECT_EQ((*found)[1].stem, "apple_ann");
  EXPECT_EQ((*found)[2].stem, "apple_ann");
  EXPECT_THAT((*found)[2].words, testing::Contains("fruit"));
  EXPECT_THAT(detail::read_openclipart("/nowhere").error().message,
              HasSubstr("apt-get install openclipart-png openclipart-svg"));
  EXPECT_THAT(detail::read_stamps("/nowhere").error().message,
              HasSubstr("apt-get install tuxpaint-stamps-default"));
}

TEST(Clipart, PicturesAreCentredAndLaidOverWhite) {
  const TempFolder folder;
  const auto draw = [&](int px) {
    std::vector<std::uint8_t> out(static_cast<std::size_t>(px * px) * 3);
    const Status drawn = detail::draw_clipart(folder / "a.png", px, out);
    EXPECT_TRUE(drawn) << drawn.error().message;
    return out;
  };
  write_rgba(folder / "a.png", 4, 2, filled(8, 200, 255));
  // Twice as wide as high: a white quarter above and below.
  EXPECT_THAT(draw(4), testing::ElementsAreArray([] {
                std::vector<std::uint8_t> rows(12, 255);
                for (int at = 0; at < 8; ++at) rows.insert(rows.end(), {200, 0, 0});
                rows.insert(rows.end(), 12, 255);
                return rows;
              }()));
  EXPECT_THAT(draw(1), ElementsAre(227, 127, 127)) << "half of it is white";
  write_rgba(folder / "a.png", 2, 2, filled(4, 200, 0));
  EXPECT_THAT(draw(1), ElementsAre(255, 255, 255)) << "what cannot be seen has no colour";
  write_rgba(folder / "a.png", 3, 3, filled(9, 255, 128));
  EXPECT_THAT(draw(2), ElementsAre(255, 127, 127, 255, 127, 127, 255, 127, 127, 255, 127, 127));
}

TEST(Clipart, ALargePictureEqualsItsMean) {
  const TempFolder folder;
  std::vector<std::uint8_t> pixels;
  std::uint64_t sum = 0;
  for (unsigned at = 0; at < 300 * 300; ++at) {
    const auto red = static_cast<std::uint8_t>(at * 2654435761U >> 24U);
    sum += red;
    pixels.insert(pixels.end(), {red, 0, 0, 255});
  }
  write_rgba(folder / "a.png", 300, 300, pixels);
  std::vector<std::uint8_t> out(3);
  ASSERT_TRUE(detail::draw_clipart(folder / "a.png", 1, out));
  EXPECT_EQ(out[0], (sum + 45000) / 90000);
}

TEST(Clipart, DamagedPicturesAreNamed) {
  const TempFolder folder;
  write_rgba(folder / "a.png", 64, 64, filled(4096, 3, 255));
  const std::string whole = *read_file(folder / "a.png", 1 << 20);
  folder.write("cut.png", whole.substr(0, whole.size() / 2));
  folder.write("none.png", "no picture");
  std::vector<std::uint8_t> out(3);
  for (const char* name : {"cut.png", "none.png"}) {
    const Status drawn = detail::draw_clipart(folder / name, 1, out);
    ASSERT_FALSE(drawn) << name;
    EXPECT_EQ(drawn.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(drawn.error().message, HasSubstr(std::string(name) + " is not a readable PNG file: "));
  }
}

TEST(PictoXl, TakesCollectionsOnRequest) {
  GAUNTLET_NEEDS_DEBIAN_EMOJI();
  const XlSources sources;
  const TempFolder& folder = sources.folder();
  write_rgba(folder / "art/png/animals/mammals/rat_01.png", 5, 5, filled(25, 77, 255));
  write_rgba(folder / "art/png/animals/mammals/zebu_ann_01.png", 5, 5, filled(25, 78, 255));
  write_rgba(folder / "art/png/animals/mammals/zebu_ann_02.png", 5, 5, filled(25, 79, 255));
  folder.write("art/png/food/damaged.png", "no picture");
  for (const char* name : {"zebu_ann_01", "zebu_ann_02"})
    folder.write("art/svg/animals/mammals/" + std::string(name) + ".svg",
                 "<metadata><dc:title>Zebu animal</dc:title></metadata>");
  const Json options = {{"openclipart", (folder / "art").string()}};
  const PreparedSet set = sources.set(options);
  EXPECT_EQ(set.n_items(), 1870 + 3);
  EXPECT_EQ(set.about()["name"], "picto_xl(1,16,+openclipart)");
  EXPECT_EQ(set.about()["dropped"]["count"], 1);
  EXPECT_EQ(set.text_dim(), 985 + 1) << "zebu is new, animal is not";
  EXPECT_EQ(set.about()["text_names"].back(), "zebu");
  std::map<int, std::int64_t> rows;
  for (std::int64_t row = 0; row < set.n_items(); ++row) {
    const auto pixels = XlSources::picture(set, row);
    if (pixels[0] >= 77 && pixels[0] <= 79 && pixels[1] == 0) rows[pixels[0]] = row;
  }
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[79], rows[78] + 1) << "drawings of a stem are one family";
  const auto label_row = [&](std::int64_t row) {
    const auto all = set.labels().subspan(static_cast<std::size_t>(row) * 28, 28);
    return std::vector<std::uint8_t>(all.begin(), all.end());
  };
  EXPECT_EQ(label_row(rows[77]), label_row(rows[77] - 1)) << "the rat stands behind the emoji of its name";
  EXPECT_NE(sources.content_id(options).value(), sources.content_id().value());
  EXPECT_THAT(sources.content_id({{"openclipart", "/nowhere"}}).error().message,
              HasSubstr("apt-get install openclipart-png openclipart-svg"));
  EXPECT_THAT(sources.content_id({{"stamps", "/nowhere"}}).error().message,
              HasSubstr("apt-get install tuxpaint-stamps-default"));
}

}  // namespace
}  // namespace gauntlet::data
