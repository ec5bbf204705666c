// An ordinary file read at any place, and numbers of any type in it read as u8 or float.
// Thread safety: const members from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "core/base/result.hpp"
#include "core/io/container.hpp"

namespace gauntlet::io::detail {

/// Move-only owner of a file descriptor.
class RandomFile {
 public:
  /// Opens for reading without waiting for anybody. Errors: kNotFound, kIo (a folder, a pipe, a device).
  [[nodiscard]] static Result<RandomFile> open(const std::filesystem::path& path);
  /// A new file without a name, for reading and writing; `folder` empty: the system's temporary folder.
  [[nodiscard]] static Result<RandomFile> temporary(const std::filesystem::path& folder);
  RandomFile() = default;
  RandomFile(RandomFile&& other) noexcept;
  RandomFile& operator=(RandomFile&& other) noexcept;
  ~RandomFile();

  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// Fills `out`; errors: kIo, kCorrupt when the file ends before.
  [[nodiscard]] Status read_at(std::uint64_t offset, std::span<std::byte> out) const;
  [[nodiscard]] Status append(std::span<const std::byte> bytes);

 private:
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
  std::filesystem::path path_;
};

/// An array in one piece inside a file, C order, little endian.
struct FileArray {
  const RandomFile* file = nullptr;
  std::uint64_t offset = 0;
  DType dtype = DType::kU8;
  std::span<const std::int64_t> dims;
};

/// The slab lies inside the array; `out` has its size. Bytes are taken as they are, of u8 and bool only.
[[nodiscard]] Status read_slab(const FileArray& array, const Slab& slab, std::span<float> out);
[[nodiscard]] Status read_slab(const FileArray& array, const Slab& slab, std::span<std::uint8_t> out);

}  // namespace gauntlet::io::detail
