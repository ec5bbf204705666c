#include "core/data/detail/emoji_sprites.hpp"

#include <gmock/gmock.h>

#include <set>

#include "core/base/random.hpp"
#include "tests/data/picto_support.hpp"

namespace gauntlet::data::detail {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::ElementsAreArray;

/// Premultiplied noise.
std::vector<std::uint8_t> noise_sprite() {
  std::vector<std::uint8_t> sprite(kSpriteBytes);
  RandomStream random = RandomStream::of(2, 7, 0);
  for (std::size_t at = 0; at < sprite.size(); at += 4) {
    const std::uint32_t alpha = random.below(256);
    for (std::size_t channel = 0; channel < 3; ++channel) {
      sprite[at + channel] = static_cast<std::uint8_t>(random.below(alpha + 1));
    }
    sprite[at + 3] = static_cast<std::uint8_t>(alpha);
  }
  return sprite;
}

TEST(SpriteScaler, AConstantStaysConstant) {
  const std::vector<std::uint8_t> sprite(kSpriteBytes, 77);
  SpriteScaler scaler;
  for (const int side : {1, 2, 12, 31, 48, 135, 136, 137, 224}) {
    const auto scaled = scaler.scale(sprite, side);
    ASSERT_EQ(scaled.size(), static_cast<std::size_t>(side * side * 4));
    EXPECT_THAT(scaled, Each(77)) << side;
  }
}

TEST(SpriteScaler, TheOwnSizeIsTheIdentity) {
  const auto sprite = noise_sprite();
  SpriteScaler scaler;
  EXPECT_THAT(scaler.scale(sprite, kSpriteSide), ElementsAreArray(sprite));
}

TEST(SpriteScaler, AgreesWithTheDefinition) {
  const auto sprite = noise_sprite();
  SpriteScaler scaler;
  const auto overlap = [](int target, int source, int side) {
    const int end = std::min((source + 1) * side, (target + 1) * kSpriteSide);
    return std::max(0, end - std::max(source * side, target * kSpriteSide));
  };
  for (const int side : {1, 7, 29, 143}) {
    const auto scaled = scaler.scale(sprite, side);
    for (int y = 0; y < side; y += std::max(1, side / 6)) {
      for (int x = 0; x < side; x += std::max(1, side / 5)) {
        for (int channel = 0; channel < 4; ++channel) {
          std::int64_t sum = 9248;
          for (int b = 0; b < kSpriteSide; ++b) {
            for (int a = 0; a < kSpriteSide; ++a) {
              sum += std::int64_t{overlap(y, b, side)} * overlap(x, a, side) *
                     sprite[static_cast<std::size_t>((b * kSpriteSide + a) * 4 + channel)];
            }
          }
          ASSERT_EQ(scaled[static_cast<std::size_t>((y * side + x) * 4 + channel)], sum / 18496) << side;
        }
      }
    }
  }
}

TEST(Composite, TransparentLeavesTheCanvasAndOpaqueReplacesIt) {
  std::vector<std::uint8_t> canvas(4 * 4 * 3, 200);
  composite(canvas, 4, std::vector<std::uint8_t>(2 * 2 * 4, 0), {.size = 2, .x = 1, .y = 1});
  EXPECT_THAT(canvas, Each(200));
  composite(canvas, 4, std::vector<std::uint8_t>(2 * 2 * 4, 255), {.size = 2, .x = 2, .y = 2});
  EXPECT_EQ(canvas[(2 * 4 + 2) * 3], 255);
  EXPECT_EQ(canvas[(1 * 4 + 2) * 3], 200);
}

TEST(Composite, MirrorExchangesLeftAndRight) {
  const std::vector<std::uint8_t> scaled = {10, 10, 10, 255, 20, 20, 20, 255,
                                            30, 30, 30, 255, 40, 40, 40, 255};
  std::vector<std::uint8_t> canvas(2 * 2 * 3, 0);
  composite(canvas, 2, scaled, {.size = 2, .mirror = true});
  EXPECT_THAT(canvas, ElementsAre(20, 20, 20, 10, 10, 10, 40, 40, 40, 30, 30, 30));
}

TEST(Composite, NeverLeavesTheByteRange) {
  for (int alpha = 0; alpha < 256; ++alpha) {
    for (int under = 0; under < 256; ++under) EXPECT_LE(alpha + (under * (255 - alpha) + 127) / 255, 255);
  }
}

TEST(Sprites, AFontWithoutPicturesIsRefused) {
  const auto missing = read_sprites("/nowhere/font.ttf", {});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "cannot read the font /nowhere/font.ttf");
}

TEST(EmojiGolden, Sprites) {
  GAUNTLET_NEEDS_DEBIAN_EMOJI();
  EXPECT_EQ(hash_of(debian_sprites().bytes()),
            "2624045948cc4e2f42141ffd8cc0b7b5ed38bf3c17ee296c1cdcdf1566e29986");
  std::set<std::string> distinct;
  for (std::size_t id = 0; id < debian_concepts().concepts.size(); ++id)
    distinct.insert(hash_of(debian_sprites()[id]));
  EXPECT_EQ(distinct.size(), 1861U);
}

TEST(EmojiGolden, ASequenceThatIsNoEmojiIsNamed) {
  GAUNTLET_NEEDS_DEBIAN_EMOJI();
  Concept strange;
  strange.code_points.assign(2, char32_t{0x1F600});
  strange.name = "two faces";
  const auto sheet = read_sprites(EmojiSourceConfig{}.font, std::span(&strange, 1));
  ASSERT_FALSE(sheet);
  EXPECT_THAT(sheet.error().message,
              testing::HasSubstr("has no picture of 'two faces': its code points do not give one"));
}

}  // namespace
}  // namespace gauntlet::data::detail
