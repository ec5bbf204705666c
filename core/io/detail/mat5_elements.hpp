// The elements that a MAT v5 file is made of: tags, headers of arrays, packed streams.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/io/detail/random_file.hpp"

namespace gauntlet::io::detail {

inline constexpr std::uint32_t kMiMatrix = 14;
inline constexpr std::uint32_t kMiCompressed = 15;
inline constexpr std::uint32_t kMiUtf8 = 16;

/// Classes of arrays, MATLAB's numbers.
enum MatClass : std::uint8_t {
  kCellClass = 1,
  kCharClass = 4,
  kSparseClass = 5,
  kDoubleClass = 6,
  kUInt64Class = 15
};

/// A tag and where its data lies.
struct Element {
  std::uint32_t type = 0;
  std::uint64_t n_bytes = 0;
  std::uint64_t begin = 0;
  std::uint64_t next = 0;  ///< where the element after it starts; at most the end of what holds it
};

/// What an array says of itself. For numbers and chars `data` is its real part; for cells `data.begin` is the
/// first cell.
struct MatrixHeader {
  std::uint8_t array_class = 0;
  bool is_complex = false;
  bool is_logical = false;
  std::vector<std::int64_t> size;  ///< MATLAB's order
  std::string name;
  Element data;
};

/// Reads bytes at an offset; a file, or the unpacked beginning of a packed element.
using ReadAt = std::function<Status(std::uint64_t offset, std::span<std::byte> out)>;

/// The element at `at`, which must end before `end`. Errors: kCorrupt, without the file's name.
[[nodiscard]] Result<Element> read_element(const ReadAt& read, std::uint64_t at, std::uint64_t end);

/// The header of the array whose element is `matrix`; sizes agree with the data's length. Errors: kCorrupt.
[[nodiscard]] Result<MatrixHeader> read_matrix_header(const ReadAt& read, const Element& matrix);

/// The numbers' type in the file; nothing when the tag is of no number.
[[nodiscard]] std::optional<DType> dtype_of_tag(std::uint32_t type);

/// Unpacks a zlib stream at [begin, begin + n_bytes) piece by piece until `take` says false or the stream
/// ends. Errors: kCorrupt, and whatever `take` returns.
[[nodiscard]] Status unpack(const RandomFile& file, std::uint64_t begin, std::uint64_t n_bytes,
                            const std::function<Result<bool>(std::span<const std::byte>)>& take);

}  // namespace gauntlet::io::detail
