// Sheets as bytes: what lies where in a PNG, and that an SVG is whole, self-contained and safe.
#include <gmock/gmock.h>

#include "core/draw/sheet.hpp"

namespace gauntlet::draw {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

io::RgbImage dots() { return {.width = 2, .height = 1, .pixels = {255, 0, 0, 0, 0, 255}}; }

std::vector<int> pixel(const io::RgbImage& image, std::int64_t y, std::int64_t x) {
  const auto* const at = &image.pixels[static_cast<std::size_t>((y * image.width + x) * 3)];
  return {at[0], at[1], at[2]};
}

TEST(Sheet, PicturesAreEnlargedAndFramesLieOnTop) {
  const Sheet sheet{.width = 8,
                    .height = 5,
                    .title = "t",
                    .elements = {Picture{1, 1, 3, dots(), "dots"}, Box{1, 1, 6, 3, 1, {0, 128, 0}}}};
  const auto image = to_image(sheet, Lettering());
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_THAT(pixel(*image, 0, 0), ElementsAre(255, 255, 255));
  EXPECT_THAT(pixel(*image, 1, 1), ElementsAre(0, 128, 0)) << "frame";
  EXPECT_THAT(pixel(*image, 2, 2), ElementsAre(255, 0, 0));
  EXPECT_THAT(pixel(*image, 2, 3), ElementsAre(255, 0, 0));
  EXPECT_THAT(pixel(*image, 2, 4), ElementsAre(0, 0, 255));
  EXPECT_THAT(pixel(*image, 3, 6), ElementsAre(0, 128, 0));
  EXPECT_THAT(pixel(*image, 2, 7), ElementsAre(255, 255, 255));
}

TEST(Sheet, WhatLiesOutsideIsLeftOut) {
  const Sheet sheet{.width = 2,
                    .height = 2,
                    .title = "",
                    .elements = {Picture{-1, 1, 2, dots(), ""}, Box{1, -3, 9, 9, 0, {1, 2, 3}}}};
  const auto image = to_image(sheet, Lettering());
  ASSERT_TRUE(image);
  EXPECT_THAT(pixel(*image, 1, 0), ElementsAre(255, 0, 0));
  EXPECT_THAT(pixel(*image, 0, 1), ElementsAre(1, 2, 3));
  EXPECT_FALSE(to_image({.width = 1 << 20, .height = 1 << 20, .title = "", .elements = {}}, Lettering()));
}

TEST(Sheet, SvgIsTheseBytes) {
  const Sheet sheet{.width = 20,
                    .height = 10,
                    .title = "a < b",
                    .elements = {Words{1, 2, Letters::kSmall, "\"x\" & <y>\x01"},
                                 Box{4, 4, 6, 3, 2, {0, 90, 160}}, Box{0, 0, 1, 1, 0, {255, 255, 0}}}};
  const auto svg = to_svg(sheet);
  ASSERT_TRUE(svg);
  EXPECT_EQ(
      *svg,
      R"(<svg xmlns="http://www.w3.org/2000/svg" width="20" height="10" viewBox="0 0 20 10" font-family="'DejaVu Sans', Verdana, sans-serif">
<title>a &lt; b</title>
<rect width="20" height="10" fill="#ffffff"/>
<text x="1" y="13.2" font-size="12">&quot;x&quot; &amp; &lt;y&gt; </text>
<rect x="5" y="5" width="4" height="1" fill="none" stroke="#005aa0" stroke-width="2"/>
<rect x="0" y="0" width="1" height="1" fill="#ffff00"/>
</svg>
)");
}

/// RFC 4648 by table, the other way round.
std::vector<std::byte> decoded(std::string_view text) {
  static constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::vector<std::byte> bytes;
  std::uint32_t bits = 0;
  int n_bits = 0;
  for (const char letter : text) {
    if (letter == '=') break;
    bits = bits << 6U | static_cast<std::uint32_t>(kDigits.find(letter));
    n_bits += 6;
    if (n_bits < 8) continue;
    n_bits -= 8;
    bytes.push_back(static_cast<std::byte>(bits >> static_cast<unsigned>(n_bits) & 0xffU));
  }
  return bytes;
}

TEST(Sheet, SvgHoldsItsPictures) {
  for (const std::int64_t width : {1, 2, 3}) {  // three lengths of base64 padding
    io::RgbImage image{.width = width,
                       .height = 1,
                       .pixels = std::vector<std::uint8_t>(static_cast<std::size_t>(width) * 3, 77)};
    const auto svg =
        to_svg({.width = 9, .height = 9, .title = "", .elements = {Picture{2, 3, 4, image, "row <3>"}}});
    ASSERT_TRUE(svg);
    EXPECT_THAT(*svg, HasSubstr(fmt::format(R"(<image x="2" y="3" width="{}" height="4")", 4 * width)));
    EXPECT_THAT(*svg, HasSubstr("<title>row &lt;3&gt;</title>"));
    const std::string_view start = "base64,";
    const std::size_t begin = svg->find(start) + start.size();
    const auto bytes = decoded(std::string_view(*svg).substr(begin, svg->find('"', begin) - begin));
    const auto read = io::decode_png(bytes, "the picture");
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(*read, image);
    EXPECT_THAT(*svg, Not(HasSubstr("href=\"http")));
  }
}

TEST(HeatColours, GrowInLightness) {
  double before = -1;
  for (int step = 0; step <= 100; ++step) {
    const Colour colour = heat_colour(step / 100.0);
    const double lightness = 0.2126 * colour.red + 0.7152 * colour.green + 0.0722 * colour.blue;
    EXPECT_GT(lightness, before) << step;
    before = lightness;
  }
  EXPECT_EQ(heat_colour(-1), heat_colour(0));
  EXPECT_EQ(heat_colour(2), (Colour{253, 231, 37}));
  EXPECT_EQ(heat_colour(0), (Colour{68, 1, 84}));
}

TEST(Lettering, BreaksLinesAtBlanksAndSaysWhatIsLeftOut) {
  const Lettering lettering;
  const std::string text = "one two three four five six seven";
  const std::int64_t width = lettering.width_of("one two three", Letters::kSmall);
  const auto lines = lettering.wrap(text, width, Letters::kSmall, 9);
  ASSERT_GE(lines.size(), 2U);
  EXPECT_EQ(lines.front(), "one two three");
  for (const std::string& line : lines) EXPECT_LE(lettering.width_of(line, Letters::kSmall), width);
  const auto cut = lettering.wrap(text, width, Letters::kSmall, 1);
  EXPECT_THAT(cut, ElementsAre(HasSubstr("...")));
  EXPECT_LE(lettering.width_of(cut.front(), Letters::kSmall), width);
  // A letter of several bytes is never cut in two.
  for (const std::string& line :
       lettering.wrap("\xC3\xA4\xC3\xB6\xC3\xBC\xC3\xA4\xC3\xB6\xC3\xBC",
                      lettering.width_of("ab", Letters::kSmall) + 1, Letters::kSmall, 9))
    EXPECT_EQ(line.size() % 2, 0U);
  EXPECT_TRUE(lettering.wrap("wide", 0, Letters::kSmall, 3).empty());
}

}  // namespace
}  // namespace gauntlet::draw
