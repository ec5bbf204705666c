// Chunks on the disk, past the page cache and through it.
#include "core/transfer/disk.hpp"

#include <fcntl.h>

#include "core/base/descriptor.hpp"
#include "core/transfer/chunk_hash.hpp"
#include "tests/transfer/support.hpp"

namespace gauntlet::transfer {
namespace {

using testing_support::TempFolder;

constexpr std::size_t kTail = 1234;  // no multiple of a block

class DiskTest : public ::testing::Test {
 protected:
  DiskTest() { std::ofstream(path_).close(); }

  /// A chunk and a tail, the tail first.
  void write_all() const {
    const std::string_view content = content_;
    ASSERT_TRUE(write_chunk(path_, content.substr(kChunkBytes), kChunkBytes));
    ASSERT_TRUE(write_chunk(path_, content.substr(0, kChunkBytes), 0));
  }
  /// Takes the file's pages, or all but the first few, from the page cache.
  void forget_pages(off_t from) const {
    const Descriptor file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_EQ(::fsync(file.get()), 0);
    ASSERT_EQ(::posix_fadvise(file.get(), from, 0, POSIX_FADV_DONTNEED), 0);
  }
  void expect_content() const {
    const auto first = read_chunk(path_, 0, kChunkBytes);
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_TRUE(*first == content_.substr(0, kChunkBytes));
    const auto second = read_chunk(path_, kChunkBytes, kTail);
    ASSERT_TRUE(second) << second.error().message;
    EXPECT_TRUE(*second == content_.substr(kChunkBytes));
  }

  const TempFolder folder_;
  const std::filesystem::path path_ = folder_ / "noise";
  const std::string content_ = noise(kChunkBytes + kTail, 3);
};

TEST_F(DiskTest, WhatIsWrittenIsReadWhereverItLies) {
  write_all();
  EXPECT_TRUE(read_file(path_).value() == content_);  // this puts it into the page cache
  expect_content();
  forget_pages(8192);
  expect_content();
  forget_pages(0);
  expect_content();
}

TEST_F(DiskTest, AFileThatEndsEarlyIsDamaged) {
  write_all();
  forget_pages(0);
  const auto longer = read_chunk(path_, kChunkBytes, kTail + 1);
  ASSERT_FALSE(longer);
  EXPECT_EQ(longer.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(longer.error().message,
            path_.string() + " ends at byte 4195538; its manifest says that it is longer");
  EXPECT_EQ(read_chunk(folder_ / "none", 0, 1).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(write_chunk(folder_.path(), "x", 0).error().code, ErrorCode::kIo);
}

TEST(ChunkHash, IsXxh3) {
  // Values of the reference implementation (xxhsum -H128).
  const auto hex = [](const std::string& bytes) {
    std::string text;
    for (const char byte : bytes) text += fmt::format("{:02x}", static_cast<std::uint8_t>(byte));
    return text;
  };
  EXPECT_EQ(hex(chunk_hash("")), "99aa06d3014798d86001c324468d497f");
  EXPECT_NE(chunk_hash(std::string(1, '\0')), chunk_hash(std::string(2, '\0')));
}

}  // namespace
}  // namespace gauntlet::transfer
