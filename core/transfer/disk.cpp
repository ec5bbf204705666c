#include "core/transfer/disk.hpp"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "core/base/check.hpp"
#include "core/base/descriptor.hpp"
#include "core/base/files.hpp"
#include "core/transfer/chunks.hpp"

namespace gauntlet::transfer {
namespace {

namespace fs = std::filesystem;

/// What addresses, offsets and lengths of direct I/O are multiples of, whatever the disk.
constexpr std::size_t kBlockBytes = 4096;
/// Read at a time from the page cache: small enough to be in the processor's cache when it is copied on.
constexpr std::size_t kPieceBytes = std::size_t{256} << 10;

/// The calling thread's kChunkBytes at a multiple of kBlockBytes.
char* aligned_buffer() {
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  thread_local const std::unique_ptr<void, Free> buffer(std::aligned_alloc(kBlockBytes, kChunkBytes));
  if (buffer == nullptr) throw std::bad_alloc();
  return static_cast<char*>(buffer.get());
}

Status write_at(int fd, std::string_view bytes, std::uint64_t offset, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t n_written = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n_written < 0 && errno == EINTR) continue;
    if (n_written <= 0) return fail(system_error(n_written == 0 ? ENOSPC : errno, "write", path));
    bytes.remove_prefix(static_cast<std::size_t>(n_written));
    offset += static_cast<std::uint64_t>(n_written);
  }
  return {};
}

/// Whether all of it was written; false where the file system cannot, or stopped half-way.
bool write_past_cache(const fs::path& path, std::string_view bytes, std::uint64_t offset) {
  if (bytes.size() % kBlockBytes != 0 || offset % kBlockBytes != 0) return false;
  const Descriptor target(::open(path.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC | O_NOFOLLOW));
  if (target.get() < 0) return false;
  char* buffer = aligned_buffer();
  std::memcpy(buffer, bytes.data(), bytes.size());
  return ::pwrite(target.get(), buffer, bytes.size(), static_cast<off_t>(offset)) ==
         static_cast<ssize_t>(bytes.size());
}

/// A chunk as it is read.
struct Content {
  std::string bytes;
  ChunkHasher* hash;  ///< null: not asked for

  /// In pieces, so that each is in the processor's cache when it is hashed and copied.
  void append(std::string_view more) {
    for (; !more.empty(); more.remove_prefix(std::min(kPieceBytes, more.size()))) {
      const std::string_view piece = more.substr(0, kPieceBytes);
      bytes += piece;
      if (hash != nullptr) hash->update(piece);
    }
  }
};

/// Appends what can be had from the page cache alone, up to `n_bytes` in all.
void read_from_cache(int fd, Content& content, std::size_t n_bytes, std::uint64_t offset) {
  char* const buffer = aligned_buffer();
  while (content.bytes.size() < n_bytes) {
    const std::size_t n_read = content.bytes.size();
    const ::iovec part{buffer, std::min(kPieceBytes, n_bytes - n_read)};
    const ssize_t n_more = ::preadv2(fd, &part, 1, static_cast<off_t>(offset + n_read), RWF_NOWAIT);
    if (n_more < 0 && errno == EINTR) continue;
    if (n_more <= 0) return;
    content.append({buffer, static_cast<std::size_t>(n_more)});
  }
}

/// Appends the rest of `n_bytes`, in blocks; whether that could be done.
bool read_past_cache(const fs::path& path, Content& content, std::size_t n_bytes, std::uint64_t offset) {
  const std::size_t n_read = content.bytes.size();
  const std::size_t first = n_read / kBlockBytes * kBlockBytes;
  const std::size_t n_blocks = (n_bytes - first + kBlockBytes - 1) / kBlockBytes;
  const Descriptor source(::open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC | O_NOFOLLOW));
  if (source.get() < 0) return false;
  char* buffer = aligned_buffer();
  // A read to the end of the file returns what there is of its last block.
  const ssize_t n_more =
      ::pread(source.get(), buffer, n_blocks * kBlockBytes, static_cast<off_t>(offset + first));
  if (n_more < static_cast<ssize_t>(n_bytes - first)) return false;
  content.append({buffer + (n_read - first), n_bytes - n_read});
  return true;
}

}  // namespace

Status write_chunk(const fs::path& path, std::string_view bytes, std::uint64_t offset) {
  GAUNTLET_CHECK(bytes.size() <= kChunkBytes);
  if (write_past_cache(path, bytes, offset)) return {};
  const Descriptor target(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  if (target.get() < 0) return fail(system_error(errno, "write", path));
  GAUNTLET_CHECK_OK(write_at(target.get(), bytes, offset, path));
  // The disk begins now, so that the flush at the end has little left to wait for.
  ::sync_file_range(target.get(), static_cast<off_t>(offset), static_cast<off_t>(bytes.size()),
                    SYNC_FILE_RANGE_WRITE);
  return {};
}

Result<std::string> read_chunk(const fs::path& path, std::uint64_t offset, std::size_t n_bytes,
                               ChunkHasher* hash) {
  GAUNTLET_CHECK(n_bytes <= kChunkBytes && offset % kChunkBytes == 0);
  const Descriptor source(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (source.get() < 0) return fail(system_error(errno, "read", path));
  Content content{.bytes = {}, .hash = hash};
  std::string& bytes = content.bytes;
  bytes.reserve(n_bytes);  // not filled first: that would cost as much as another copy
  read_from_cache(source.get(), content, n_bytes, offset);
  if (bytes.size() == n_bytes || read_past_cache(path, content, n_bytes, offset)) return std::move(bytes);
  char* const buffer = aligned_buffer();
  while (bytes.size() < n_bytes) {
    const ssize_t n_more = ::pread(source.get(), buffer, std::min(kPieceBytes, n_bytes - bytes.size()),
                                   static_cast<off_t>(offset + bytes.size()));
    if (n_more < 0 && errno == EINTR) continue;
    if (n_more < 0) return fail(system_error(errno, "read", path));
    if (n_more == 0) {
      return fail(ErrorCode::kCorrupt, "{} ends at byte {}; its manifest says that it is longer",
                  path.string(), offset + bytes.size());
    }
    content.append({buffer, static_cast<std::size_t>(n_more)});
  }
  return std::move(bytes);
}

}  // namespace gauntlet::transfer
