// Picto XL: second drawings, their scaling, 28 labels, families on one side.
#include <gmock/gmock.h>

#include <set>

#include "core/base/random.hpp"
#include "core/data/detail/emoji_drawings.hpp"
#include "core/io/png.hpp"
#include "tests/data/picto_support.hpp"
#include "tests/data/picto_xl_support.hpp"

namespace gauntlet::data {
namespace {

using testing::HasSubstr;

io::RgbImage picture_of(std::int64_t side, int red) {
  io::RgbImage image{side, side, std::vector<std::uint8_t>(static_cast<std::size_t>(side * side * 3))};
  for (std::size_t at = 0; at < image.pixels.size(); ++at)
    image.pixels[at] = at % 3 == 0 ? static_cast<std::uint8_t>(red) : std::uint8_t{7};
  return image;
}

TEST(ScaleByArea, KeepsConstantsAveragesBlocksAndIsTheIdentityAtItsOwnSize) {
  std::vector<std::uint8_t> out(5 * 5 * 3);
  detail::scale_by_area(picture_of(8, 201), 5, out);
  for (std::size_t at = 0; at < out.size(); ++at) EXPECT_EQ(out[at], at % 3 == 0 ? 201 : 7);
  io::RgbImage noise{4, 4, {}};
  RandomStream random = RandomStream::of(2, 1, 0);
  for (int at = 0; at < 48; ++at) noise.pixels.push_back(static_cast<std::uint8_t>(random.below(256)));
  std::vector<std::uint8_t> same(48);
  detail::scale_by_area(noise, 4, same);
  EXPECT_EQ(same, noise.pixels);
  std::vector<std::uint8_t> half(12);
  detail::scale_by_area(noise, 2, half);
  EXPECT_EQ(half[0], (noise.pixels[0] + noise.pixels[3] + noise.pixels[12] + noise.pixels[15] + 2) / 4);
  std::vector<std::uint8_t> twice(8 * 8 * 3);
  detail::scale_by_area(noise, 8, twice);
  EXPECT_EQ(twice[(7 * 8 + 7) * 3], noise.pixels[45]);
}

TEST(XlLabels, AreTheOldOnesWithTwoMore) {
  const auto names = detail::xl_label_names();
  ASSERT_EQ(names.size(), detail::kNumXlLabels);
  EXPECT_EQ(names[9], "fruit_veg");
  EXPECT_EQ(names[10], "sweet");
  EXPECT_EQ(names[11], "drink");
  EXPECT_EQ(names[27], "science_medical");
  const auto labels_of = [&](std::string subgroup, std::set<std::string> old) {
    detail::Concept entry;
    entry.subgroup = std::move(subgroup);
    for (std::size_t at = 0; at < detail::kNumLabels; ++at) {
      if (old.contains(std::string(detail::label_names()[at]))) entry.labels |= detail::LabelMask{1} << at;
    }
    std::set<std::string> found;
    for (std::size_t at = 0; at < names.size(); ++at) {
      if ((detail::xl_labels(entry) >> at & 1U) != 0) found.insert(names[at]);
    }
    return found;
  };
  EXPECT_EQ(labels_of("food-sweet", {"food"}), (std::set<std::string>{"food", "sweet"}));
  EXPECT_EQ(labels_of("medical", {"tool_household"}), (std::set<std::string>{"science_medical"}));
  EXPECT_EQ(labels_of("religion", {"religion_zodiac"}), (std::set<std::string>{"religion_zodiac"}));
  EXPECT_EQ(labels_of("drink", {"food", "drink"}), (std::set<std::string>{"food", "drink"}));
}

TEST(PictoXl, JoinsDrawingsByCodePointsAndCutsNoFamily) {
  GAUNTLET_NEEDS_DEBIAN_EMOJI();
  const XlSources sources;
  // Rat; flag of Iraq; "man technologist", given without its joiner; a name that is none.
  for (const auto& [name, red] :
       {std::pair{"1f400", 10}, {"1F1EE-1F1F6", 20}, {"1F468-1F4BB", 30}, {"readme", 40}}) {
    ASSERT_TRUE(io::write_png(sources.drawings() / (std::string(name) + ".png"), picture_of(16, red)));
  }
  const Json options = {{"n_query", 100}, {"n_train", 50}};
  const PreparedSet set = sources.set(options);
  EXPECT_EQ(set.n_items(), 1870 + 3);
  EXPECT_EQ(set.n_labels(), 28);
  EXPECT_GE(set.rows(Part::kQuery).size(), 100U);
  std::set<int> reds;
  for (std::int64_t row = 1; row < set.n_items(); ++row) {
    const auto pixels = XlSources::picture(set, row);
    if (pixels[1] != 7 || pixels[2] != 7) continue;
    reds.insert(pixels[0]);
    const auto words = [&](std::int64_t at) {
      return set.text_u8().subspan(static_cast<std::size_t>(at * set.text_dim()),
                                   static_cast<std::size_t>(set.text_dim()));
    };
    EXPECT_TRUE(std::ranges::equal(words(row), words(row - 1))) << "the font's drawing comes before it";
  }
  EXPECT_EQ(reds, (std::set<int>{10, 20, 30}));
  EXPECT_EQ(set.about()["source"], sources.content_id(options).value());
  EXPECT_THAT(sources.content_id({{"drawings", "/nowhere"}}).error().message,
              HasSubstr("Debian package ruby-gemojione"));
}

}  // namespace
}  // namespace gauntlet::data
