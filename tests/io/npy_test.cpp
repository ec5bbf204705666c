#include "core/io/npy.hpp"

#include <gmock/gmock.h>

#include <limits>

#include "core/base/random.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::bytes_of_file;
using testing_support::TempFolder;

std::string npy_bytes(std::string_view dictionary, std::string_view data, char version = 1) {
  std::string file = "\x93NUMPY";
  file += version;
  file += '\0';
  const std::size_t length = dictionary.size();
  for (int byte = 0; byte < (version == 1 ? 2 : 4); ++byte)
    file += static_cast<char>(length >> (8 * byte) & 0xFF);
  return file.append(dictionary).append(data);
}

template <class T>
class NpyTypes : public testing::Test {};
using Types = testing::Types<std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t,
                             std::int32_t, std::uint64_t, std::int64_t, float, double>;
TYPED_TEST_SUITE(NpyTypes, Types);

TYPED_TEST(NpyTypes, SurviveARoundTrip) {
  const TempFolder folder;
  const std::vector<TypeParam> values = {
      std::numeric_limits<TypeParam>::lowest(), TypeParam{0}, TypeParam{1},
      std::numeric_limits<TypeParam>::max(),    TypeParam{7}, TypeParam{3}};
  ASSERT_TRUE(write_npy<TypeParam>(folder / "a.npy", {2, 3}, values));
  const auto array = read_npy(folder / "a.npy");
  ASSERT_TRUE(array) << array.error().message;
  EXPECT_EQ(array->dtype, dtype_of<TypeParam>());
  EXPECT_THAT(array->shape, ElementsAre(2, 3));
  const auto read = array->template as<TypeParam>();
  ASSERT_TRUE(read);
  EXPECT_THAT(*read, testing::ElementsAreArray(values));
}

TEST(Npy, WritesWhatNumpyWrites) {
  const TempFolder folder;
  const std::uint8_t values[] = {5, 6, 7};
  ASSERT_TRUE(write_npy<std::uint8_t>(folder / "a.npy", {3}, values));
  const std::string file = bytes_of_file(folder / "a.npy");
  std::string expected("\x93NUMPY\x01\x00\x76\x00", 10);
  expected += "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }";
  expected.resize(127, ' ');
  EXPECT_EQ(file, expected + "\n\x05\x06\x07");
}

TEST(Npy, ScalarsAndEmptyArraysAreArrays) {
  const TempFolder folder;
  const double one[] = {2.5};
  ASSERT_TRUE(write_npy<double>(folder / "scalar.npy", {}, one));
  ASSERT_TRUE(write_npy<float>(folder / "empty.npy", {0, 7}, std::span<const float>()));
  const auto scalar = read_npy(folder / "scalar.npy");
  const auto empty = read_npy(folder / "empty.npy");
  ASSERT_TRUE(scalar && empty);
  EXPECT_TRUE(scalar->shape.empty());
  EXPECT_EQ(scalar->as<double>()->front(), 2.5);
  EXPECT_EQ(empty->n_elements(), 0U);
}

TEST(Npy, ReadsVersionsTwoAndThreeAnyKeyOrderAndUnalignedData) {
  const TempFolder folder;
  const std::string data("\x01\x00\x00\x00\x02\x00\x00\x00", 8);
  for (const char version : {'\x01', '\x02', '\x03'}) {
    folder.write("a.npy",
                 npy_bytes("{\"shape\": ( 2 , ) ,'fortran_order':False,'descr':'<i4'} ", data, version));
    const auto array = read_npy(folder / "a.npy");
    ASSERT_TRUE(array) << array.error().message;
    EXPECT_THAT(*array->as<std::int32_t>(), ElementsAre(1, 2));
  }
}

TEST(Npy, ReadsBoolAsBytesAndOneSidedFortranOrder) {
  const TempFolder folder;
  folder.write("a.npy", npy_bytes("{'descr': '|b1', 'fortran_order': True, 'shape': (2,)}",
                                  std::string("\x01\x00", 2)));
  const auto array = read_npy(folder / "a.npy");
  ASSERT_TRUE(array) << array.error().message;
  EXPECT_THAT(*array->as<std::uint8_t>(), ElementsAre(1, 0));
}

TEST(Npy, AMovedArrayKeepsItsBytes) {
  const TempFolder folder;
  const float values[] = {1, 2};
  ASSERT_TRUE(write_npy<float>(folder / "a.npy", {2}, values));
  auto first = read_npy(folder / "a.npy");
  ASSERT_TRUE(first);
  const NpyArray second = std::move(*first);
  EXPECT_THAT(*second.as<float>(), ElementsAre(1, 2));
}

TEST(Npy, AnotherTypeIsRefusedByName) {
  const TempFolder folder;
  const float values[] = {1};
  ASSERT_TRUE(write_npy<float>(folder / "a.npy", {1}, values));
  const auto array = read_npy(folder / "a.npy");
  ASSERT_TRUE(array);
  EXPECT_EQ(array->as<std::uint8_t>().error().message,
            (folder / "a.npy").string() + " holds f32; u8 is needed here");
}

struct BadFile {
  std::string_view what;
  std::string bytes;
  ErrorCode code;
  std::string_view message;
};

TEST(Npy, HostileFilesAreAnsweredWithASentence) {
  const auto dictionary = [](std::string_view type, std::string_view shape,
                             std::string_view order = "False") {
    return fmt::format("{{'descr': '{}', 'fortran_order': {}, 'shape': {}}}", type, order, shape);
  };
  const std::string huge_header = std::string("\x93NUMPY\x02\x00\xff\xff\xff\x7f", 12);
  const BadFile files[] = {
      {"empty", "", ErrorCode::kCorrupt, "too short"},
      {"magic", std::string(64, 'x'), ErrorCode::kCorrupt, "does not start with"},
      {"version", npy_bytes("{}", "", 9), ErrorCode::kInvalid, "format version 9; versions 1 to 3 are read"},
      {"header beyond the file", huge_header, ErrorCode::kCorrupt,
       "its header of 2147483647 bytes does not fit"},
      {"no dictionary", npy_bytes("hello", ""), ErrorCode::kCorrupt, "header cannot be read"},
      {"open dictionary", npy_bytes("{'descr': '<f4'", ""), ErrorCode::kCorrupt, "header cannot be read"},
      {"key twice",
       npy_bytes("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': ()}", "1234"),
       ErrorCode::kCorrupt, "header cannot be read"},
      {"key missing", npy_bytes("{'descr': '<f4', 'shape': ()}", "1234"), ErrorCode::kCorrupt,
       "header cannot be read"},
      {"rest", npy_bytes(dictionary("|u1", "()") + "x", "1"), ErrorCode::kCorrupt, "header cannot be read"},
      {"negative side", npy_bytes(dictionary("|u1", "(-1,)"), ""), ErrorCode::kCorrupt,
       "header cannot be read"},
      {"side beyond 64 bits", npy_bytes(dictionary("|u1", "(99999999999999999999,)"), ""),
       ErrorCode::kCorrupt, "header cannot be read"},
      {"overflowing shape", npy_bytes(dictionary("<f8", "(4294967296, 4294967296)"), ""), ErrorCode::kCorrupt,
       "larger than any file"},
      {"overflow hidden by a zero", npy_bytes(dictionary("<f8", "(0, 9223372036854775807, 9)"), ""),
       ErrorCode::kCorrupt, "larger than any file"},
      {"truncated", npy_bytes(dictionary("<f4", "(3,)"), "12345678"), ErrorCode::kCorrupt,
       "holds 8 bytes of data; f32 [3] needs 12"},
      {"too long", npy_bytes(dictionary("<f4", "(1,)"), "12345678"), ErrorCode::kCorrupt, "f32 [1] needs 4"},
      {"big endian", npy_bytes(dictionary(">f4", "(1,)"), "1234"), ErrorCode::kInvalid,
       "elements of type '>f4'"},
      {"text", npy_bytes(dictionary("<U5", "(1,)"), "1234"), ErrorCode::kInvalid, "elements of type '<U5'"},
      {"objects", npy_bytes(dictionary("|O", "(1,)"), "1234"), ErrorCode::kInvalid, "elements of type '|O'"},
      {"record", npy_bytes("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", "1234"),
       ErrorCode::kInvalid, "elements of type 'record'"},
      {"open record", npy_bytes("{'descr': [", ""), ErrorCode::kCorrupt, "header cannot be read"},
      {"Fortran", npy_bytes(dictionary("<f4", "(1, 1)", "True"), "1234"), ErrorCode::kInvalid,
       "Fortran order"},
  };
  const TempFolder folder;
  for (const BadFile& file : files) {
    const auto path = folder.write("bad.npy", file.bytes);
    const auto array = read_npy(path);
    ASSERT_FALSE(array) << file.what;
    EXPECT_EQ(array.error().code, file.code) << file.what << ": " << array.error().message;
    EXPECT_THAT(array.error().message, HasSubstr(std::string(file.message))) << file.what;
    EXPECT_THAT(array.error().message, HasSubstr(path.string())) << file.what;
  }
}

TEST(Npy, AMissingFileIsNotFound) {
  const auto array = read_npy("/nowhere/a.npy");
  ASSERT_FALSE(array);
  EXPECT_EQ(array.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(array.error().message, "cannot read /nowhere/a.npy: No such file or directory");
}

TEST(Npy, EveryTruncationIsRefused) {
  const TempFolder folder;
  const std::int64_t values[] = {1, 2, 3};
  ASSERT_TRUE(write_npy<std::int64_t>(folder / "a.npy", {3}, values));
  const std::string whole = bytes_of_file(folder / "a.npy");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    folder.write("b.npy", whole.substr(0, length));
    EXPECT_FALSE(read_npy(folder / "b.npy")) << length;
  }
}

TEST(Npy, RandomChangesNeverDoHarm) {
  const TempFolder folder;
  const float values[] = {1, 2, 3, 4, 5, 6};
  ASSERT_TRUE(write_npy<float>(folder / "a.npy", {2, 3}, values));
  const std::string whole = bytes_of_file(folder / "a.npy");
  RandomStream random = RandomStream::of(7, 1, 0);
  int n_read = 0;
  for (int round = 0; round < 1000; ++round) {
    std::string changed = whole;
    for (std::uint32_t change = 0, n = 1 + random.below(4); change < n; ++change) {
      const std::uint32_t at =
          random.below(static_cast<std::uint32_t>(random.below(2) == 0 ? 80 : changed.size()));
      const std::uint32_t kind = random.below(3);
      if (kind == 0) changed[at] = static_cast<char>(random.below(256));
      if (kind == 1) changed[at] = "(),'{}[]<>|0123456789-"[random.below(22)];
      if (kind == 2) changed.erase(at, 1);
    }
    folder.write("b.npy", changed);
    const auto array = read_npy(folder / "b.npy");
    if (!array) {
      EXPECT_FALSE(array.error().message.empty());
      continue;
    }
    ++n_read;
    const auto size = checked_byte_count(array->dtype, array->shape);
    ASSERT_TRUE(size);
    ASSERT_EQ(array->bytes.size(), *size);
    unsigned sum = 0;
    for (const std::byte byte : array->bytes) sum += std::to_integer<unsigned>(byte);
    EXPECT_LE(sum, 255U * array->bytes.size());
  }
  EXPECT_GT(n_read, 0);  // some changes only touch values
}

TEST(NpyWriter, ManyPiecesGiveTheSameFileAsOne) {
  const TempFolder folder;
  const std::vector<std::uint16_t> values = {1, 2, 3, 4, 5, 6};
  ASSERT_TRUE(write_npy<std::uint16_t>(folder / "one.npy", {3, 2}, values));
  auto writer = NpyWriter::create(folder / "many.npy", DType::kU16, std::vector<std::int64_t>{3, 2});
  ASSERT_TRUE(writer);
  for (std::size_t at = 0; at < values.size(); at += 2) {
    ASSERT_TRUE(writer->append(std::span<const std::uint16_t>(values).subspan(at, 2)));
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "many.npy")) << "appears only when finished";
  ASSERT_TRUE(writer->finish());
  EXPECT_EQ(bytes_of_file(folder / "many.npy"), bytes_of_file(folder / "one.npy"));
}

TEST(NpyWriter, TooManyOrTooFewElementsLeaveNothingBehind) {
  const TempFolder folder;
  const std::uint8_t values[] = {1, 2, 3};
  const Status more = write_npy<std::uint8_t>(folder / "a.npy", {2}, values);
  ASSERT_FALSE(more);
  EXPECT_THAT(more.error().message, HasSubstr("1 bytes more than its shape holds"));
  const Status fewer = write_npy<std::uint8_t>(folder / "a.npy", {4}, values);
  ASSERT_FALSE(fewer);
  EXPECT_THAT(fewer.error().message, HasSubstr("1 bytes fewer than its shape holds"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(NpyWriter, WhatCannotBeWrittenIsSaid) {
  const TempFolder folder;
  const std::uint8_t values[] = {1};
  EXPECT_EQ(write_npy<std::uint8_t>("/nowhere/a.npy", {1}, values).error().message,
            "cannot write /nowhere/a.npy: No such file or directory");
  const Status bf16 = write_npy(folder / "a.npy", DType::kBF16, std::vector<std::int64_t>{0}, {});
  ASSERT_FALSE(bf16);
  EXPECT_THAT(bf16.error().message, HasSubstr("cannot hold bf16"));
}

}  // namespace
}  // namespace gauntlet::io
