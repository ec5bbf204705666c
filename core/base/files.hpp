// Files: whole reads, atomic writes, read-only mappings. Errors carry the path and the system's own words;
// a full disk is kNoSpace, a missing file kNotFound, everything else kIo.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace gauntlet {

/// The error for a failed system call on `path`: "cannot <doing> <path>: <reason>".
[[nodiscard]] Error system_error(int errno_value, std::string_view doing, const std::filesystem::path& path);

/// Reads a whole file; refuses (kInvalid) one larger than `max_bytes`.
[[nodiscard]] Result<std::string> read_file(const std::filesystem::path& path,
                                            std::size_t max_bytes = std::size_t{1} << 30);

/// Writes beside the target, syncs, renames over it: a reader sees the old content or the new, never a part.
[[nodiscard]] Status write_file_atomic(const std::filesystem::path& path, std::string_view content);

[[nodiscard]] Status make_directories(const std::filesystem::path& path);

/// A file mapped read-only; the bytes stay valid as long as this object. Move-only. An empty file maps to no
/// bytes.
class MappedFile {
 public:
  [[nodiscard]] static Result<MappedFile> open(const std::filesystem::path& path);
  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  [[nodiscard]] std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace gauntlet
