#include "core/io/mat5.hpp"

#include <gmock/gmock.h>
#include <matio.h>

#include "tests/support/mat5_writer.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::TempFolder;
namespace mat5 = testing_support::mat5;

std::vector<float> all_of(Container& file, std::string_view name) {
  const ArrayInfo* info = file.find(name);
  if (info == nullptr) return {};
  std::vector<float> values(static_cast<std::size_t>(info->n_elements()));
  const Status read = file.read(*info, {std::vector<std::int64_t>(info->dims.size(), 0), info->dims}, values);
  EXPECT_TRUE(read) << read.error().message;
  return values;
}

std::string refusal(const TempFolder& folder, std::string_view bytes) {
  auto file = open_mat5(folder.write("bad.mat", bytes));
  if (!file) return file.error().message;
  for (const ArrayInfo& info : (*file)->arrays()) {
    if (!info.refusal.empty()) return info.refusal;
    if (info.content == Content::kTexts) {
      const auto texts = (*file)->texts(info);
      if (!texts) return texts.error().message;
      continue;
    }
    std::vector<float> values(static_cast<std::size_t>(info.n_elements()));
    const Status read =
        (*file)->read(info, {std::vector<std::int64_t>(info.dims.size(), 0), info.dims}, values);
    if (!read) return read.error().message;
  }
  return "";
}

TEST(Mat5, NumbersOfEveryStorageAreReadInCOrder) {
  const TempFolder folder;
  const std::string small =
      mat5::numbers<std::uint8_t>("YAll", mat5::kDouble, {3, 2}, mat5::kU8, {1, 2, 3, 4, 5, 6});
  const std::string wide = mat5::numbers<double>("d", mat5::kDouble, {2, 2}, mat5::kF64, {0.5, -1, 1e300, 4});
  const std::string ints = mat5::numbers<std::int64_t>("i", mat5::kInt64, {1, 2}, mat5::kI64, {-7, 9});
  for (const bool packed : {false, true}) {
    const auto wrap = [&](const std::string& bytes) { return packed ? mat5::packed(bytes) : bytes; };
    auto file = open_container(folder.write("name.txt", mat5::file({wrap(small), wrap(wide), wrap(ints)})));
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ((*file)->kind(), ContainerKind::kMat5);
    const ArrayInfo* info = (*file)->find("YAll");
    ASSERT_NE(info, nullptr);
    EXPECT_THAT(info->dims, ElementsAre(2, 3));  // MATLAB's 3 x 2
    EXPECT_EQ(info->type, "f64 stored as u8");
    EXPECT_THAT(all_of(**file, "YAll"), ElementsAre(1, 2, 3, 4, 5, 6));
    EXPECT_THAT(all_of(**file, "d"), ElementsAre(0.5F, -1, std::numeric_limits<float>::infinity(), 4));
    EXPECT_THAT(all_of(**file, "i"), ElementsAre(-7, 9));
    std::vector<std::uint8_t> part(2);
    ASSERT_TRUE((*file)->read(*info, {{0, 1}, {2, 1}}, part));  // row 2 of MATLAB's matrix
    EXPECT_THAT(part, ElementsAre(2, 5));
    EXPECT_THAT((*file)->read(*info, {{0, 2}, {2, 2}}, part).error().message,
                HasSubstr("is not a part of it"));
  }
}

TEST(Mat5, StringsAreTakenRowByRow) {
  const TempFolder folder;
  std::vector<std::uint16_t> units;  // 2 items of 2 strings of 3 characters: ab, c / de, f
  for (const char letter : std::string("adcfbe      ")) units.push_back(static_cast<std::uint8_t>(letter));
  const std::string utf8 =
      "\xC3\xA9"
      "x";
  auto file = open_mat5(folder.write(
      "a",
      mat5::file({mat5::chars("index", {"im1.jpg", "im22.jpg"}),
                  mat5::packed(mat5::cells("caption", {1, 3}, {{"a cat", "one"}, {}, {"b"}})),
                  mat5::cells("two", {2, 2}, {{"d1"}, {"d2"}, {"f1"}, {"f2"}}),
                  mat5::matrix("cube", mat5::kChar, {2, 2, 3}, mat5::element(mat5::kU16, mat5::raw(units))),
                  mat5::matrix("utf", mat5::kChar, {1, 2}, mat5::element(mat5::kUtf8, utf8))})));
  ASSERT_TRUE(file) << file.error().message;
  const auto texts = [&](std::string_view name) {
    const auto all = (*file)->texts(*(*file)->find(name));
    EXPECT_TRUE(all) << all.error().message;
    return all.value_or(Texts{});
  };
  EXPECT_EQ(texts("index"), (Texts{{"im1.jpg"}, {"im22.jpg"}}));
  EXPECT_EQ(texts("caption"), (Texts{{"a cat", "one"}, {""}, {"b"}}));
  EXPECT_EQ(texts("two"), (Texts{{"d1", "f1"}, {"d2", "f2"}}));
  EXPECT_EQ(texts("cube"), (Texts{{"ab", "c"}, {"de", "f"}}));
  EXPECT_EQ(texts("utf"), (Texts{{"éx"}}));
}

TEST(Mat5, WhatMatioWritesIsRead) {
  const TempFolder folder;
  const auto path = folder / "matio.mat";
  mat_t* out = Mat_CreateVer(path.c_str(), nullptr, MAT_FT_MAT5);
  ASSERT_NE(out, nullptr);
  std::size_t sides[] = {2, 3};
  double values[] = {1, 2, 3, 4, 5, 6.5};
  matvar_t* numbers = Mat_VarCreate("LAll", MAT_C_DOUBLE, MAT_T_DOUBLE, 2, sides, values, 0);
  Mat_VarWrite(out, numbers, MAT_COMPRESSION_ZLIB);
  Mat_VarFree(numbers);
  std::size_t text_sides[] = {1, 5};
  char text[] = "hello";
  matvar_t* words = Mat_VarCreate("words", MAT_C_CHAR, MAT_T_UINT8, 2, text_sides, text, 0);
  Mat_VarWrite(out, words, MAT_COMPRESSION_NONE);
  Mat_VarFree(words);
  Mat_Close(out);
  auto file = open_container(path);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_THAT(all_of(**file, "LAll"), ElementsAre(1, 2, 3, 4, 5, 6.5F));
  EXPECT_EQ(*(*file)->texts(*(*file)->find("words")), (Texts{{"hello"}}));
}

TEST(Mat5, WhatIsNotReadIsSaid) {
  const TempFolder folder;
  std::string newer = mat5::file({});
  newer.replace(0, 10, "MATLAB 7.3");
  EXPECT_THAT(refusal(folder, newer), HasSubstr("is a MATLAB 7.3 file: HDF5, not v5"));
  std::string big_endian = mat5::file({});
  big_endian.replace(124, 4, std::string("\x01\x00MI", 4));
  EXPECT_THAT(refusal(folder, big_endian), HasSubstr("is big-endian"));
  EXPECT_EQ(refusal(folder, mat5::file({mat5::matrix("s", mat5::kSparse, {2, 2}, "")})),
            "is sparse; save it as full(…)");
  EXPECT_THAT(refusal(folder, mat5::file({mat5::matrix("s", mat5::kStruct, {1, 1}, "")})),
              HasSubstr("MATLAB's struct"));
  EXPECT_THAT(refusal(folder, mat5::file({mat5::matrix("z", mat5::kDouble | 0x800, {1, 1},
                                                       mat5::element(mat5::kF64, std::string(8, '\0')))})),
              HasSubstr("complex"));
  EXPECT_THAT(
      refusal(folder,
              mat5::file({mat5::numbers<std::uint8_t>("\xFF", mat5::kUInt8, {1, 1}, mat5::kU8, {1})})),
      HasSubstr("the name '\\xff' is not UTF-8"));
  const std::string once = mat5::numbers<std::uint8_t>("a", mat5::kUInt8, {1, 1}, mat5::kU8, {1});
  EXPECT_THAT(refusal(folder, mat5::file({once, once})), HasSubstr("holds a twice"));
}

TEST(Mat5, HostileSizesAreRefusedBeforeAnythingIsAllocated) {
  const TempFolder folder;
  const std::string good =
      mat5::numbers<std::uint8_t>("a", mat5::kUInt8, {4, 4}, mat5::kU8, std::vector<std::uint8_t>(16, 7));
  std::string longer = mat5::file({good});
  longer.replace(132, 4, "\xF0\xFF\xFF\x7F");
  EXPECT_THAT(refusal(folder, longer), HasSubstr("declares 2147483632 bytes"));
  EXPECT_THAT(refusal(folder, mat5::file({mat5::numbers<std::uint8_t>(
                                  "a", mat5::kUInt8, {0x7FFFFFFF, 0x7FFFFFFF}, mat5::kU8, {1})})),
              HasSubstr("more than a v5 file can hold"));
  EXPECT_THAT(
      refusal(folder,
              mat5::file({mat5::numbers<std::uint8_t>("a", mat5::kUInt8, {30000, 30000}, mat5::kU8, {1})})),
      HasSubstr("needs 900000000 bytes of u8; 1 are there"));
  EXPECT_THAT(
      refusal(folder, mat5::file({mat5::numbers<std::uint8_t>("a", mat5::kUInt8, {-1, 1}, mat5::kU8, {1})})),
      HasSubstr("a side of -1"));
  EXPECT_THAT(
      refusal(folder,
              mat5::file({mat5::matrix("c", mat5::kChar, {2000000, 0}, mat5::element(mat5::kU16, ""))})),
      HasSubstr("chars of size [2000000, 0] hold no text"));
  EXPECT_THAT(refusal(folder, mat5::file({mat5::matrix("c", mat5::kCell, {30000, 30000}, "")})),
              HasSubstr("900000000 cells in 0 bytes"));
  const std::string whole = mat5::file({good, mat5::packed(good)});
  for (std::size_t n = 1; n < whole.size(); ++n) {
    const bool ends_between = n == 128 || n == 128 + good.size();
    EXPECT_EQ(refusal(folder, whole.substr(0, n)).empty(), ends_between) << "cut at " << n;
  }
}

TEST(Mat5, BombsAreRefused) {
  const TempFolder folder;
  // 1,000 packed bytes that claim to be 4 GB: zlib cannot.
  std::string liar =
      mat5::matrix("a", mat5::kUInt8, {30000, 30000}, mat5::u32(mat5::kU8) + mat5::u32(900000000));
  liar.replace(4, 4, mat5::u32(900000100));
  EXPECT_THAT(refusal(folder, mat5::file({mat5::packed(liar)})), HasSubstr("zlib reaches at most"));
  // More behind the array than it declares.
  const std::string small = mat5::numbers<std::uint8_t>("a", mat5::kUInt8, {1, 1}, mat5::kU8, {1});
  EXPECT_THAT(refusal(folder, mat5::file({mat5::packed(small + std::string(1 << 20, '\0'))})),
              HasSubstr("more is packed than the"));
  std::string less =
      mat5::numbers<std::uint8_t>("a", mat5::kUInt8, {100, 1}, mat5::kU8, std::vector<std::uint8_t>(100));
  EXPECT_THAT(refusal(folder, mat5::file({mat5::packed(less.substr(0, less.size() - 50))})),
              HasSubstr("unpacks to"));
}

}  // namespace
}  // namespace gauntlet::io
