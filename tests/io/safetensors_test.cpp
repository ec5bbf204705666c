#include "core/io/safetensors.hpp"

#include <gmock/gmock.h>

#include <cstring>

#include "core/base/random.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::bytes_of_file;
using testing_support::TempFolder;

std::string file_bytes(std::string_view header, std::string_view data) {
  const std::uint64_t length = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file.append(header).append(data);
}

const std::vector<float> kWeights = {1, 2, 3, 4, 5, 6};
const std::vector<std::uint8_t> kMask = {1, 0, 1};
const std::vector<std::int64_t> kSteps = {42};

TensorMap sample_tensors() {
  return {{"mask", view_of<std::uint8_t>({3}, kMask)},
          {"a.weight", view_of<float>({2, 3}, kWeights)},
          {"steps", view_of<std::int64_t>({}, kSteps)}};
}

TEST(SafeTensors, SurviveARoundTrip) {
  const TempFolder folder;
  const auto path = folder / "a.safetensors";
  ASSERT_TRUE(write_safetensors(path, sample_tensors(), {{"kind", "test"}, {"quote", "\"é\n"}}));
  const auto file = read_safetensors(path);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->tensors.size(), 3U);
  const auto weight = file->at("a.weight");
  ASSERT_TRUE(weight);
  EXPECT_THAT((*weight)->shape, ElementsAre(2, 3));
  EXPECT_THAT(*(*weight)->as<float>(), testing::ElementsAreArray(kWeights));
  EXPECT_THAT(*file->find("steps")->as<std::int64_t>(), ElementsAre(42));
  EXPECT_EQ(file->find("nothing"), nullptr);
  EXPECT_EQ(file->at("nothing").error().message, path.string() + " has no tensor 'nothing'");
  EXPECT_EQ(file->metadata.at("quote"), "\"é\n");
}

TEST(SafeTensors, EqualContentGivesEqualAlignedBytes) {
  const TempFolder folder;
  ASSERT_TRUE(write_safetensors(folder / "a", sample_tensors()));
  ASSERT_TRUE(write_safetensors(folder / "b", sample_tensors()));
  const std::string bytes = bytes_of_file(folder / "a");
  EXPECT_EQ(bytes, bytes_of_file(folder / "b"));
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  EXPECT_EQ(length % 8, 0U);
  const std::string_view header(bytes.data() + 8, length);
  EXPECT_EQ(header.substr(0, header.find_last_not_of(' ') + 1),
            R"({"a.weight":{"data_offsets":[8,32],"dtype":"F32","shape":[2,3]},)"
            R"("mask":{"data_offsets":[32,35],"dtype":"U8","shape":[3]},)"
            R"("steps":{"data_offsets":[0,8],"dtype":"I64","shape":[]}})");
  const auto file = read_safetensors(folder / "a");
  ASSERT_TRUE(file);
  EXPECT_TRUE(file->aligned_copies.empty());
}

TEST(SafeTensors, EveryTypeOfTheFormatIsRead) {
  const TempFolder folder;
  const std::pair<const char*, std::size_t> types[] = {
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"U16", 2},  {"I16", 2}, {"U32", 4}, {"I32", 4},
      {"U64", 8},  {"I64", 8}, {"F16", 2}, {"BF16", 2}, {"F32", 4}, {"F64", 8}};
  for (const auto& [type, size] : types) {
    const std::string header =
        fmt::format(R"({{"t":{{"dtype":"{}","shape":[2],"data_offsets":[0,{}]}}}})", type, 2 * size);
    folder.write("a", file_bytes(header, std::string(2 * size, '\x01')));
    const auto file = read_safetensors(folder / "a");
    ASSERT_TRUE(file) << type << ": " << file.error().message;
    EXPECT_EQ(size_of(file->find("t")->dtype), size);
  }
}

TEST(SafeTensors, UnalignedTensorsOfOtherWritersAreCopied) {
  const TempFolder folder;
  std::string data("\x07", 1);
  data.append(reinterpret_cast<const char*>(kWeights.data()), 8);
  folder.write("a", file_bytes(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                               R"("b":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}})",
                               data));
  const auto file = read_safetensors(folder / "a");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_THAT(*file->find("b")->as<float>(), ElementsAre(1, 2));
  EXPECT_EQ(file->find("b")->as<double>().error().message, "an array of f32 was found where f64 is needed");
}

TEST(SafeTensors, AnEmptyFileOfTensorsIsOne) {
  const TempFolder folder;
  ASSERT_TRUE(write_safetensors(folder / "a", {}));
  const auto file = read_safetensors(folder / "a");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_TRUE(file->tensors.empty());
}

TEST(SafeTensors, HostileFilesAreAnsweredWithASentence) {
  const auto one = [](std::string_view body) { return fmt::format(R"({{"t":{}}})", body); };
  const std::string deep = std::string(200000, '[');
  const std::tuple<const char*, std::string, const char*> files[] = {
      {"empty", "", "too short"},
      {"length beyond the file", std::string("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10),
       "its header of 18446744073709551615 bytes does not fit"},
      {"no JSON", file_bytes("hello", ""), "not a JSON object"},
      {"no object", file_bytes("[]", ""), "not a JSON object"},
      {"deep", file_bytes(deep, ""), "nested too deeply"},
      {"name twice",
       file_bytes(R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                  R"("t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
                  "1"),
       "has the name 't' twice"},
      {"key twice", file_bytes(one(R"({"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]})"), "1"),
       "has the name 'dtype' twice"},
      {"key missing", file_bytes(one(R"({"dtype":"U8","shape":[1]})"), "1"),
       "tensor 't': it must have exactly"},
      {"unknown type", file_bytes(one(R"({"dtype":"F8","shape":[1],"data_offsets":[0,1]})"), "1"),
       "tensor 't': its dtype \"F8\" is unknown"},
      {"shape", file_bytes(one(R"({"dtype":"U8","shape":[-1],"data_offsets":[0,1]})"), "1"),
       "other than a size"},
      {"fraction", file_bytes(one(R"({"dtype":"U8","shape":[1.5],"data_offsets":[0,1]})"), "1"),
       "other than a size"},
      {"overflow",
       file_bytes(one(R"({"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,1]})"), "1"),
       "larger than any file"},
      {"huge", file_bytes(one(R"({"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,1]})"), "1"),
       "other than a size"},
      {"backwards", file_bytes(one(R"({"dtype":"U8","shape":[1],"data_offsets":[1,0]})"), "1"),
       "are no range"},
      {"one offset", file_bytes(one(R"({"dtype":"U8","shape":[1],"data_offsets":[1]})"), "1"),
       "not two numbers"},
      {"size", file_bytes(one(R"({"dtype":"F32","shape":[1],"data_offsets":[0,1]})"), "1"),
       "f32 [1] needs 4 bytes, its data_offsets span 1"},
      {"beyond the file", file_bytes(one(R"({"dtype":"U8","shape":[2],"data_offsets":[0,2]})"), "1"),
       "its tensors span 2 bytes, the file holds 1"},
      {"left over", file_bytes(one(R"({"dtype":"U8","shape":[1],"data_offsets":[0,1]})"), "12"),
       "its tensors span 1 bytes, the file holds 2"},
      {"hole", file_bytes(one(R"({"dtype":"U8","shape":[1],"data_offsets":[1,2]})"), "12"),
       "no tensor covers byte 0"},
      {"overlap",
       file_bytes(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                  R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
                  "123"),
       "two tensors overlap at byte 1"},
      {"metadata", file_bytes(R"({"__metadata__":{"a":1}})", ""), "its metadata 'a' is not a text"},
      {"metadata list", file_bytes(R"({"__metadata__":[]})", ""), "__metadata__ is not an object"},
  };
  const TempFolder folder;
  for (const auto& [what, bytes, message] : files) {
    const auto path = folder.write("bad.safetensors", bytes);
    const auto file = read_safetensors(path);
    ASSERT_FALSE(file) << what;
    EXPECT_EQ(file.error().code, ErrorCode::kCorrupt) << what;
    EXPECT_THAT(file.error().message, HasSubstr(message)) << what;
    EXPECT_THAT(file.error().message, HasSubstr(path.string())) << what;
  }
}

TEST(SafeTensors, AMissingFileIsNotFound) {
  EXPECT_EQ(read_safetensors("/nowhere/a").error().code, ErrorCode::kNotFound);
}

TEST(SafeTensors, EveryTruncationIsRefused) {
  const TempFolder folder;
  ASSERT_TRUE(write_safetensors(folder / "a", sample_tensors(), {{"k", "v"}}));
  const std::string whole = bytes_of_file(folder / "a");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    folder.write("b", whole.substr(0, length));
    EXPECT_FALSE(read_safetensors(folder / "b")) << length;
  }
}

TEST(SafeTensors, RandomChangesNeverDoHarm) {
  const TempFolder folder;
  ASSERT_TRUE(write_safetensors(folder / "a", sample_tensors(), {{"k", "v"}}));
  const std::string whole = bytes_of_file(folder / "a");
  RandomStream random = RandomStream::of(11, 1, 0);
  int n_read = 0;
  for (int round = 0; round < 1000; ++round) {
    std::string changed = whole;
    for (std::uint32_t change = 0, n = 1 + random.below(4); change < n; ++change) {
      const std::uint32_t at = random.below(static_cast<std::uint32_t>(changed.size()));
      const std::uint32_t kind = random.below(3);
      if (kind == 0) changed[at] = static_cast<char>(random.below(256));
      if (kind == 1) changed[at] = "{}[]\",:0123456789-eF"[random.below(20)];
      if (kind == 2) changed.insert(at, 1, changed[random.below(static_cast<std::uint32_t>(changed.size()))]);
    }
    folder.write("b", changed);
    const auto file = read_safetensors(folder / "b");
    if (!file) {
      EXPECT_FALSE(file.error().message.empty());
      continue;
    }
    ++n_read;
    for (const auto& [name, tensor] : file->tensors) {
      const auto size = checked_byte_count(tensor.dtype, tensor.shape);
      ASSERT_TRUE(size);
      ASSERT_EQ(tensor.bytes.size(), *size);
      unsigned sum = 0;
      for (const std::byte byte : tensor.bytes) sum += std::to_integer<unsigned>(byte);
      EXPECT_LE(sum, 255U * tensor.bytes.size());
    }
  }
  EXPECT_GT(n_read, 0);
}

TEST(SafeTensors, WhatCannotBeWrittenIsSaidAndLeavesNothingBehind) {
  const TempFolder folder;
  const Status sizes = write_safetensors(folder / "a", {{"t", view_of<float>({2}, std::span(kWeights))}});
  ASSERT_FALSE(sizes);
  EXPECT_THAT(sizes.error().message, HasSubstr("tensor 't': f32 [2] needs 8 bytes, 24 were given"));
  const Status name =
      write_safetensors(folder / "a", {{"__metadata__", view_of<float>({6}, std::span(kWeights))}});
  ASSERT_FALSE(name);
  EXPECT_THAT(name.error().message, HasSubstr("cannot be named '__metadata__'"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace gauntlet::io
