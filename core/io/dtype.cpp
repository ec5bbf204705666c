#include "core/io/dtype.hpp"

#include <fmt/ranges.h>

#include <bit>
#include <limits>

namespace gauntlet::io {

static_assert(std::endian::native == std::endian::little,
              "files are little endian and are mapped as they are");

std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::kBool:
      return "bool";
    case DType::kU8:
      return "u8";
    case DType::kI8:
      return "i8";
    case DType::kU16:
      return "u16";
    case DType::kI16:
      return "i16";
    case DType::kU32:
      return "u32";
    case DType::kI32:
      return "i32";
    case DType::kU64:
      return "u64";
    case DType::kI64:
      return "i64";
    case DType::kF16:
      return "f16";
    case DType::kBF16:
      return "bf16";
    case DType::kF32:
      return "f32";
    case DType::kF64:
      return "f64";
  }
  return "unknown";
}

std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::kBool:
    case DType::kU8:
    case DType::kI8:
      return 1;
    case DType::kU16:
    case DType::kI16:
    case DType::kF16:
    case DType::kBF16:
      return 2;
    case DType::kU32:
    case DType::kI32:
    case DType::kF32:
      return 4;
    case DType::kU64:
    case DType::kI64:
    case DType::kF64:
      return 8;
  }
  return 1;
}

std::string shape_text(std::span<const std::int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

Result<std::size_t> checked_byte_count(DType dtype, std::span<const std::int64_t> shape) {
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  bool empty = false;
  std::uint64_t count = size_of(dtype);
  for (const std::int64_t side : shape) {
    if (side < 0) return fail(ErrorCode::kCorrupt, "the shape {} has a negative side", shape_text(shape));
    if (side == 0) {
      empty = true;
      continue;  // the other sides must still be sane: a later reshape multiplies them
    }
    if (count > kMost / static_cast<std::uint64_t>(side)) {
      return fail(ErrorCode::kCorrupt, "the shape {} of {} is larger than any file", shape_text(shape),
                  name_of(dtype));
    }
    count *= static_cast<std::uint64_t>(side);
  }
  return empty ? std::size_t{0} : static_cast<std::size_t>(count);
}

}  // namespace gauntlet::io
