#include "core/data/inspect.hpp"

#include <gmock/gmock.h>

#include <limits>

#include "core/io/png.hpp"
#include "core/io/safetensors.hpp"
#include "tests/data/small_set.hpp"

namespace gauntlet::data {
namespace {

using testing::HasSubstr;
using testing_support::TempFolder;

TEST(Inspect, GivesTheFactsOfAFolder) {
  const TempFolder folder;
  const auto facts = inspect(SmallSet().write(folder));
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_EQ(*facts, Json::parse(R"({"format": 1, "kind": "prepared", "name": "small", "n_items": 6,
    "image": {"height": 8, "width": 8}, "text": {"dim": 3, "dtype": "u8"}, "labels": ["round", "red"],
    "counts": {"query": 2, "train": 2, "retrieval": 4}})"));
}

TEST(Inspect, GivesTheFactsOfArrayAndTensorFiles) {
  const TempFolder folder;
  const float values[] = {1, -3, std::numeric_limits<float>::quiet_NaN(), 5};
  ASSERT_TRUE(io::write_npy<float>(folder / "a.npy", {2, 2}, values));
  EXPECT_EQ(*inspect(folder / "a.npy"),
            Json::parse(R"({"format": 1, "kind": "npy", "dtype": "f32", "shape": [2, 2],
    "values": {"min": -3.0, "max": 5.0, "mean": 1.0, "n_not_finite": 1}})"));
  ASSERT_TRUE(io::write_npy<std::int8_t>(folder / "e.npy", {0}, std::span<const std::int8_t>()));
  EXPECT_EQ((*inspect(folder / "e.npy"))["values"]["mean"], nullptr);
  ASSERT_TRUE(io::write_safetensors(folder / "w.safetensors", {{"w", io::view_of<float>({4}, values)}},
                                    {{"k", "v"}}));
  EXPECT_EQ(*inspect(folder / "w.safetensors"), Json::parse(R"({"format": 1, "kind": "safetensors",
    "tensors": {"w": {"dtype": "f32", "shape": [4]}}, "metadata": {"k": "v"}})"));
}

TEST(Inspect, SaysWhatItCannotRead) {
  const TempFolder folder;
  EXPECT_EQ(inspect(folder / "none.npy").error().code, ErrorCode::kNotFound);
  EXPECT_THAT(inspect(folder.write("a.txt", "x")).error().message,
              HasSubstr("a.txt is nothing that is known by its first bytes"));
}

TEST(Stats, AreWorkedOutByHand) {
  const TempFolder folder;
  const auto set = PreparedSet::open(SmallSet().write(folder));
  ASSERT_TRUE(set);
  const Json numbers = stats(*set);
  EXPECT_EQ(numbers["label_frequency"], Json::parse(R"({"round": 3, "red": 3})"));
  EXPECT_EQ(numbers["n_unlabelled"], 1);
  EXPECT_EQ(numbers["n_distinct_label_vectors"], 4);
  EXPECT_EQ(numbers["n_empty_text"], 2);
  EXPECT_EQ(numbers["n_empty_text_queries"], 1);
  EXPECT_DOUBLE_EQ(numbers["labels_per_item"], 1.0);
  EXPECT_DOUBLE_EQ(numbers["words_per_item"], 7.0 / 6);
  // Query 0 {round}: row 2 of 4. Query 1 {round, red}: rows 2, 3, 5 of 4.
  EXPECT_DOUBLE_EQ(numbers["chance_map"], (0.25 + 0.75) / 2);
  EXPECT_DOUBLE_EQ(numbers["chance_map_min"], 0.25);
  EXPECT_DOUBLE_EQ(numbers["chance_map_max"], 0.75);
}

TEST(Verify, NoticesWhatDoesNotMatchTheDescription) {
  const TempFolder folder;
  SmallSet small;
  small.about = R"({"counts": {"items": 6, "query": 3}, "hashes": {"labels": "00"}})";
  small.text[0] = 200;
  const auto report = verify(small.write(folder));
  ASSERT_TRUE(report);
  EXPECT_EQ((*report)["ok"], false);
  std::map<std::string, std::pair<bool, std::string>> checks;
  for (const Json& check : (*report)["checks"]) {
    checks[check["name"].get<std::string>()] = {check["ok"].get<bool>(), check["detail"].get<std::string>()};
  }
  EXPECT_EQ(checks["values"], std::pair(false, std::string("text.npy: row 0 holds 200; allowed: 0, 1")));
  EXPECT_EQ(checks["number of query rows"], std::pair(false, std::string("2 was found, 3 is expected")));
  EXPECT_TRUE(checks["number of items rows"].first);
  EXPECT_FALSE(checks["hash of labels"].first);
}

TEST(Sheet, ShowsThePicturesEnlarged) {
  const TempFolder folder;
  const SmallSet small;
  const auto set = PreparedSet::open(small.write(folder));
  ASSERT_TRUE(set);
  const std::int64_t rows[] = {5, 0, 3};
  const auto path = folder / "sheet.png";
  ASSERT_TRUE(write_sheet(*set, rows, path, {.n_columns = 2, .cell_px = 16, .captions = false}));
  const auto sheet = io::read_png(path);
  ASSERT_TRUE(sheet) << sheet.error().message;
  EXPECT_EQ(sheet->width, 2 * (16 + 8) + 8);
  EXPECT_EQ(sheet->height, 2 * (16 + 8) + 8);
  const auto pixel = [&](std::int64_t x, std::int64_t y) {
    return sheet->pixels[static_cast<std::size_t>((y * sheet->width + x) * 3)];
  };
  EXPECT_EQ(pixel(0, 0), 255);
  EXPECT_EQ(pixel(8, 8), small.images[5 * 192]);
  EXPECT_EQ(pixel(9, 9), small.images[5 * 192]) << "two pixels for one";
  EXPECT_EQ(pixel(10, 8), small.images[5 * 192 + 3]);
  EXPECT_EQ(pixel(32, 8), small.images[0]);
  EXPECT_EQ(pixel(8, 32), small.images[3 * 192]);
}

TEST(Sheet, CaptionsTakeRoomBelow) {
  const TempFolder folder;
  const auto set = PreparedSet::open(SmallSet().write(folder));
  const std::int64_t rows[] = {1};
  ASSERT_TRUE(write_sheet(*set, rows, folder / "a.png"));
  EXPECT_GE(io::read_png(folder / "a.png")->height, 192 + 16);
}

TEST(Sheet, ReadsPlanarPicturesAndClampsThem) {
  const TempFolder folder;
  // One 1 x 2 picture: red 0.5, 2; green -1, 1; blue 0, NaN.
  const float values[] = {0.5F, 2.0F, -1.0F, 1.0F, 0.0F, std::numeric_limits<float>::quiet_NaN()};
  ASSERT_TRUE(io::write_npy<float>(folder / "a.npy", {1, 3, 1, 2}, values));
  const std::int64_t rows[] = {0};
  ASSERT_TRUE(sheet_of_npy(folder / "a.npy", rows, folder / "a.png", {.cell_px = 1, .captions = false}));
  const auto sheet = io::read_png(folder / "a.png");
  ASSERT_TRUE(sheet);
  const auto at = static_cast<std::size_t>((8 * sheet->width + 8) * 3);
  EXPECT_THAT(std::vector<int>(sheet->pixels.begin() + static_cast<std::ptrdiff_t>(at),
                               sheet->pixels.begin() + static_cast<std::ptrdiff_t>(at) + 6),
              testing::ElementsAre(128, 0, 0, 255, 255, 0));
}

TEST(Sheet, WhatCannotBeShownIsSaid) {
  const TempFolder folder;
  const auto set = PreparedSet::open(SmallSet().write(folder));
  const std::int64_t rows[] = {6};
  EXPECT_EQ(write_sheet(*set, rows, folder / "a.png").error().message, "there is no row 6; allowed: 0 to 5");
  EXPECT_EQ(write_sheet(*set, {}, folder / "a.png").error().message,
            "a sheet needs at least one row and one column");
  EXPECT_THAT(sheet_of_npy(folder.path() / "set" / "labels.npy", rows, folder / "a.png").error().message,
              HasSubstr("labels.npy is u8 [6, 2]; a sheet is made from f32 [n, 3, H, W] or u8 [n, H, W, 3]"));
  const std::vector<std::int64_t> many(100000, 0);
  EXPECT_THAT(write_sheet(*set, many, folder / "a.png", {.n_columns = 300}).error().message,
              HasSubstr("is too large"));
}

}  // namespace
}  // namespace gauntlet::data
