#include "core/io/png.hpp"

#include <gmock/gmock.h>

#include "core/base/random.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::io {
namespace {

using testing::HasSubstr;
using testing_support::bytes_of_file;
using testing_support::TempFolder;

RgbImage noise(std::int64_t width, std::int64_t height) {
  RgbImage image{width, height, {}};
  RandomStream random = RandomStream::of(3, 1, 0);
  for (std::int64_t at = 0; at < width * height * 3; ++at)
    image.pixels.push_back(static_cast<std::uint8_t>(random.below(256)));
  return image;
}

TEST(Png, SurvivesARoundTrip) {
  const TempFolder folder;
  for (const auto& [width, height] : {std::pair{1, 1}, {7, 3}, {48, 64}}) {
    const RgbImage image = noise(width, height);
    ASSERT_TRUE(write_png(folder / "a.png", image));
    const auto read = read_png(folder / "a.png");
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(*read, image);
  }
}

TEST(Png, WhatIsNoPictureIsRefused) {
  const TempFolder folder;
  const Status empty = write_png(folder / "a.png", RgbImage{});
  ASSERT_FALSE(empty);
  EXPECT_THAT(empty.error().message, HasSubstr("a picture of 0 x 0 with 0 bytes"));
  EXPECT_EQ(write_png(folder / "a.png", RgbImage{2, 2, std::vector<std::uint8_t>(11)}).error().code,
            ErrorCode::kInvalid);
  EXPECT_EQ(write_png(folder / "a.png", RgbImage{INT64_MAX, INT64_MAX, {}}).error().code,
            ErrorCode::kInvalid);
  EXPECT_EQ(read_png(folder / "none.png").error().code, ErrorCode::kNotFound);
  const auto text = read_png(folder.write("text.png", "hello"));
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(text.error().message, HasSubstr("is not a readable PNG file"));
}

TEST(Png, RandomChangesNeverDoHarm) {
  const TempFolder folder;
  ASSERT_TRUE(write_png(folder / "a.png", noise(9, 5)));
  const std::string whole = bytes_of_file(folder / "a.png");
  RandomStream random = RandomStream::of(5, 1, 0);
  for (int round = 0; round < 500; ++round) {
    std::string changed = whole.substr(0, random.below(static_cast<std::uint32_t>(whole.size() + 1)));
    if (!changed.empty())
      changed[random.below(static_cast<std::uint32_t>(changed.size()))] ^=
          static_cast<char>(1 << random.below(8));
    folder.write("b.png", changed);
    const auto read = read_png(folder / "b.png");
    if (read) {
      EXPECT_EQ(read->pixels.size(), static_cast<std::size_t>(read->width * read->height * 3));
    }
  }
}

}  // namespace
}  // namespace gauntlet::io
