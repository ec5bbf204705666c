// NumPy's .npy files (format versions 1 to 3): C order, little endian, the plain number types.
// Thread safety: an NpyArray is immutable; an NpyWriter belongs to one thread.
#pragma once

#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/files.hpp"
#include "core/base/result.hpp"
#include "core/io/dtype.hpp"

namespace gauntlet::io {

/// One array, mapped from its file. Move-only; `bytes` and every span from `as` live as long as this object.
struct NpyArray {
  DType dtype = DType::kU8;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
  std::filesystem::path path;  ///< for messages

  [[nodiscard]] std::size_t n_elements() const { return bytes.size() / size_of(dtype); }

  /// All elements in C order. Bool arrays are read as std::uint8_t. Errors (kInvalid): the file holds another
  /// type.
  template <Element T>
  [[nodiscard]] Result<std::span<const T>> as() const {
    if (!reads_as<T>(dtype)) {
      return fail(ErrorCode::kInvalid, "{} holds {}; {} is needed here", path.string(), name_of(dtype),
                  name_of(dtype_of<T>()));
    }
    return std::span<const T>(reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T));
  }

  MappedFile file;                      ///< owner of `bytes`, unless the data starts at an unaligned offset
  std::vector<std::byte> aligned_copy;  ///< then this is
};

/// Maps a file. The header is checked against the file's size before anything is allocated. Errors:
/// kNotFound, kIo; kInvalid for what NumPy may write but Gauntlet does not read (big endian, Fortran order,
/// strings, objects, complex); kCorrupt for everything else that is no .npy file.
[[nodiscard]] Result<NpyArray> read_npy(const std::filesystem::path& path);

/// The header that files of this project carry before the elements; a multiple of 64 bytes. Errors
/// (kInvalid): a type or a number of sides that .npy cannot hold.
[[nodiscard]] Result<std::string> npy_header(DType dtype, std::span<const std::int64_t> shape);

/// Writes an array piece by piece, beside the target; `finish` renames it into place. A writer that goes away
/// unfinished leaves nothing behind.
class NpyWriter {
 public:
  [[nodiscard]] static Result<NpyWriter> create(const std::filesystem::path& path, DType dtype,
                                                std::span<const std::int64_t> shape);
  NpyWriter(NpyWriter&&) noexcept;
  NpyWriter& operator=(NpyWriter&&) noexcept;
  ~NpyWriter();

  /// The next elements in C order. Errors: kNoSpace, kIo; kInvalid when more arrives than the shape holds.
  [[nodiscard]] Status append(std::span<const std::byte> bytes);
  template <Element T>
  [[nodiscard]] Status append(std::span<const T> elements) {
    return append(std::as_bytes(elements));
  }
  /// Errors: as `append`, and kInvalid when elements are missing.
  [[nodiscard]] Status finish();

 private:
  struct State;
  explicit NpyWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Writes a whole array; the file appears complete or not at all. Errors: kNoSpace, kIo, kInvalid (sizes
/// disagree).
[[nodiscard]] Status write_npy(const std::filesystem::path& path, DType dtype,
                               std::span<const std::int64_t> shape, std::span<const std::byte> bytes);

template <Element T>
[[nodiscard]] Status write_npy(const std::filesystem::path& path, const std::vector<std::int64_t>& shape,
                               std::span<const T> elements) {
  return write_npy(path, dtype_of<T>(), shape, std::as_bytes(elements));
}

}  // namespace gauntlet::io
