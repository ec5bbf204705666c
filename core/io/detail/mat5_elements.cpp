#include "core/io/detail/mat5_elements.hpp"

#include <zlib.h>

#include <array>
#include <cstring>
#include <limits>

#include "core/base/check.hpp"

namespace gauntlet::io::detail {
namespace {

constexpr std::uint64_t kMaxNameBytes = 4096;
constexpr std::uint64_t kMaxSideBytes = 4 * 32;
constexpr std::size_t kPackedPiece = std::size_t{1} << 16;
constexpr std::size_t kUnpackedPiece = std::size_t{1} << 18;

Result<std::uint32_t> read_u32(const ReadAt& read, std::uint64_t at) {
  std::uint32_t value = 0;
  GAUNTLET_CHECK_OK(read(at, std::as_writable_bytes(std::span(&value, 1))));
  return value;
}

/// Compares the data's length with the size of the array.
Status check_data(const MatrixHeader& header) {
  std::uint64_t n = 1;
  for (const std::int64_t side : header.size) {
    if (side != 0 && n > std::numeric_limits<std::uint32_t>::max() / static_cast<std::uint64_t>(side)) {
      return fail(ErrorCode::kCorrupt, "{} declares a size of {}, more than a v5 file can hold", header.name,
                  shape_text(header.size));
    }
    n *= static_cast<std::uint64_t>(side);
  }
  if (header.array_class < kCharClass || header.array_class == kSparseClass ||
      header.array_class > kUInt64Class || header.data.type == kMiUtf8)
    return {};
  const auto dtype = dtype_of_tag(header.data.type == 17   ? 4U  // UTF-16, UTF-32: as wide as u16, u32
                                  : header.data.type == 18 ? 6U
                                                           : header.data.type);
  if (!dtype) {
    return fail(ErrorCode::kCorrupt, "{} holds data of the unknown type {}", header.name, header.data.type);
  }
  if (header.data.n_bytes == n * size_of(*dtype)) return {};
  return fail(ErrorCode::kCorrupt, "{} of size {} needs {} bytes of {}; {} are there", header.name,
              shape_text(header.size), n * size_of(*dtype), name_of(*dtype), header.data.n_bytes);
}

Status read_sizes(const ReadAt& read, const Element& element, MatrixHeader& header) {
  if (element.type != 5 || element.n_bytes % 4 != 0 || element.n_bytes < 8 || element.n_bytes > kMaxSideBytes)
    return fail(ErrorCode::kCorrupt, "an array's list of sides cannot be read");
  std::vector<std::int32_t> sides(element.n_bytes / 4);
  GAUNTLET_CHECK_OK(read(element.begin, std::as_writable_bytes(std::span(sides))));
  for (const std::int32_t side : sides) {
    if (side < 0) return fail(ErrorCode::kCorrupt, "an array declares a side of {}", side);
    header.size.push_back(side);
  }
  return {};
}

class Inflater {
 public:
  Inflater() { ok_ = inflateInit(&stream_) == Z_OK; }
  ~Inflater() {
    if (ok_) inflateEnd(&stream_);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  [[nodiscard]] bool ok() const { return ok_; }
  z_stream& stream() { return stream_; }

 private:
  z_stream stream_{};
  bool ok_ = false;
};

}  // namespace

Result<Element> read_element(const ReadAt& read, std::uint64_t at, std::uint64_t end) {
  if (at > end || end - at < 8)
    return fail(ErrorCode::kCorrupt, "it ends at byte {}, where an element should start", at);
  GAUNTLET_TRY(const std::uint32_t first, read_u32(read, at));
  if (first >> 16 != 0) {  // the small form: length and type in one word, up to four bytes of data after it
    const Element element{first & 0xFFFFU, first >> 16, at + 4, at + 8};
    if (element.n_bytes <= 4) return element;
    return fail(ErrorCode::kCorrupt, "the small element at byte {} declares {} bytes", at, element.n_bytes);
  }
  GAUNTLET_TRY(const std::uint32_t n_bytes, read_u32(read, at + 4));
  Element element{first, n_bytes, at + 8, 0};
  if (element.n_bytes > end - element.begin) {
    return fail(ErrorCode::kCorrupt, "the element at byte {} declares {} bytes; {} follow", at,
                element.n_bytes, end - element.begin);
  }
  const std::uint64_t padding = first == kMiCompressed ? 0 : (8 - n_bytes % 8) % 8;
  element.next = std::min(end, element.begin + element.n_bytes + padding);
  return element;
}

Result<MatrixHeader> read_matrix_header(const ReadAt& read, const Element& matrix) {
  const std::uint64_t end = matrix.begin + matrix.n_bytes;
  GAUNTLET_TRY(const Element flags, read_element(read, matrix.begin, end));
  if (flags.type != 6 || flags.n_bytes != 8)
    return fail(ErrorCode::kCorrupt, "the flags of the array at byte {} cannot be read", matrix.begin);
  GAUNTLET_TRY(const std::uint32_t bits, read_u32(read, flags.begin));
  MatrixHeader header;
  header.array_class = static_cast<std::uint8_t>(bits & 0xFFU);
  header.is_complex = (bits & 0x800U) != 0;
  header.is_logical = (bits & 0x200U) != 0;
  GAUNTLET_TRY(const Element sides, read_element(read, flags.next, end));
  GAUNTLET_CHECK_OK(read_sizes(read, sides, header));
  GAUNTLET_TRY(const Element name, read_element(read, sides.next, end));
  if (name.type != 1 || name.n_bytes > kMaxNameBytes)
    return fail(ErrorCode::kCorrupt, "the name of the array at byte {} cannot be read", matrix.begin);
  header.name.resize(name.n_bytes);
  GAUNTLET_CHECK_OK(read(name.begin, std::as_writable_bytes(std::span(header.name))));
  header.data = {0, end - name.next, name.next, end};
  if (header.array_class >= kCharClass && header.array_class <= kUInt64Class &&
      header.array_class != kSparseClass) {
    GAUNTLET_TRY(header.data, read_element(read, name.next, end));
  }
  GAUNTLET_CHECK_OK(check_data(header));
  return header;
}

std::optional<DType> dtype_of_tag(std::uint32_t type) {
  switch (type) {
    case 1:
      return DType::kI8;
    case 2:
      return DType::kU8;
    case 3:
      return DType::kI16;
    case 4:
      return DType::kU16;
    case 5:
      return DType::kI32;
    case 6:
      return DType::kU32;
    case 7:
      return DType::kF32;
    case 9:
      return DType::kF64;
    case 12:
      return DType::kI64;
    case 13:
      return DType::kU64;
    default:
      return std::nullopt;
  }
}

Status unpack(const RandomFile& file, std::uint64_t begin, std::uint64_t n_bytes,
              const std::function<Result<bool>(std::span<const std::byte>)>& take) {
  Inflater inflater;
  if (!inflater.ok()) return fail(ErrorCode::kOutOfMemory, "no memory to unpack {}", file.path().string());
  z_stream& stream = inflater.stream();
  std::vector<std::byte> packed(std::min<std::uint64_t>(kPackedPiece, n_bytes));
  std::vector<std::byte> unpacked(kUnpackedPiece);
  for (std::uint64_t done = 0; done < n_bytes;) {
    const std::size_t n_here = std::min<std::uint64_t>(packed.size(), n_bytes - done);
    GAUNTLET_CHECK_OK(file.read_at(begin + done, std::span(packed).first(n_here)));
    done += n_here;
    stream.next_in = reinterpret_cast<Bytef*>(packed.data());
    stream.avail_in = static_cast<uInt>(n_here);
    do {
      stream.next_out = reinterpret_cast<Bytef*>(unpacked.data());
      stream.avail_out = static_cast<uInt>(unpacked.size());
      const int code = inflate(&stream, Z_NO_FLUSH);
      if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
        return fail(ErrorCode::kCorrupt, "a packed variable cannot be unpacked: {}",
                    stream.msg != nullptr ? stream.msg : "zlib gives no reason");
      }
      const std::size_t n_out = unpacked.size() - stream.avail_out;
      if (n_out > 0) {
        GAUNTLET_TRY(const bool more, take(std::span(unpacked).first(n_out)));
        if (!more) return {};
      }
      if (code == Z_STREAM_END) return {};
    } while (stream.avail_out == 0);
  }
  return fail(ErrorCode::kCorrupt, "a packed variable ends in the middle");
}

}  // namespace gauntlet::io::detail
