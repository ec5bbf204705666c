// Chunks on the disk, past the page cache and through it.
#include "core/transfer/disk.hpp"

#include <fcntl.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/base/descriptor.hpp"
#include "core/base/random.hpp"
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
    ChunkHasher first_hash;
    const auto first = read_chunk(path_, 0, kChunkBytes, &first_hash);
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_TRUE(*first == content_.substr(0, kChunkBytes));
    EXPECT_EQ(first_hash.finish(), chunk_hash(*first));
    ChunkHasher second_hash;
    const auto second = read_chunk(path_, kChunkBytes, kTail, &second_hash);
    ASSERT_TRUE(second) << second.error().message;
    EXPECT_TRUE(*second == content_.substr(kChunkBytes));
    EXPECT_EQ(second_hash.finish(), chunk_hash(*second));
    EXPECT_TRUE(read_chunk(path_, 0, kChunkBytes).value() == *first) << "without a hash";
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

// Whichever instructions are used, it is the hash of the header's own functions, built for any processor.
TEST(ChunkHash, IsTheSameOnEveryProcessor) {
  std::string bytes(kChunkBytes, '\0');
  RandomStream random = RandomStream::of(7, 7, 0);
  for (char& byte : bytes) byte = static_cast<char>(random.next());
  for (const std::size_t n_bytes :
       {1UL, 3UL, 16UL, 128UL, 240UL, 241UL, 1024UL, 1025UL, 65537UL, kChunkBytes - 1, kChunkBytes}) {
    XXH128_canonical_t expected;
    XXH128_canonicalFromHash(&expected, XXH3_128bits(bytes.data(), n_bytes));
    EXPECT_EQ(chunk_hash(std::string_view(bytes).substr(0, n_bytes)),
              std::string(reinterpret_cast<const char*>(expected.digest), sizeof expected.digest))
        << n_bytes << " bytes";
  }
}

}  // namespace
}  // namespace gauntlet::transfer
