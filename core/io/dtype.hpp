// Element types of arrays in files, and the C++ types they are read as.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace gauntlet::io {

/// Little-endian element types. kF16 and kBF16 are carried as bytes only; kBool holds one byte per element.
enum class DType : std::uint8_t {
  kBool,
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kU64,
  kI64,
  kF16,
  kBF16,
  kF32,
  kF64,
};

/// Name in messages: "u8", "f32", "bf16", "bool".
[[nodiscard]] std::string_view name_of(DType dtype);
[[nodiscard]] std::size_t size_of(DType dtype);

/// "[2, 3]"
[[nodiscard]] std::string shape_text(std::span<const std::int64_t> shape);

/// Number of elements times element size, refused (kCorrupt) when a dimension is negative or the product
/// leaves 63 bits. An empty shape is one element (a scalar).
[[nodiscard]] Result<std::size_t> checked_byte_count(DType dtype, std::span<const std::int64_t> shape);

/// Types that arrays are read and written as.
template <class T>
concept Element = std::same_as<T, std::uint8_t> || std::same_as<T, std::int8_t> ||
    std::same_as<T, std::uint16_t> || std::same_as<T, std::int16_t> || std::same_as<T, std::uint32_t> ||
    std::same_as<T, std::int32_t> || std::same_as<T, std::uint64_t> || std::same_as<T, std::int64_t> ||
    std::same_as<T, float> || std::same_as<T, double>;

template <Element T>
[[nodiscard]] constexpr DType dtype_of() {
  if constexpr (std::same_as<T, std::uint8_t>) return DType::kU8;
  if constexpr (std::same_as<T, std::int8_t>) return DType::kI8;
  if constexpr (std::same_as<T, std::uint16_t>) return DType::kU16;
  if constexpr (std::same_as<T, std::int16_t>) return DType::kI16;
  if constexpr (std::same_as<T, std::uint32_t>) return DType::kU32;
  if constexpr (std::same_as<T, std::int32_t>) return DType::kI32;
  if constexpr (std::same_as<T, std::uint64_t>) return DType::kU64;
  if constexpr (std::same_as<T, std::int64_t>) return DType::kI64;
  if constexpr (std::same_as<T, float>) return DType::kF32;
  if constexpr (std::same_as<T, double>) return DType::kF64;
}

/// Whether elements of `dtype` may be read as T: the same type, or bool as bytes.
template <Element T>
[[nodiscard]] constexpr bool reads_as(DType dtype) {
  return dtype == dtype_of<T>() || (dtype == DType::kBool && std::same_as<T, std::uint8_t>);
}

/// An array inside bytes that someone else owns; C order, little endian, aligned for its type.
struct TensorView {
  DType dtype = DType::kU8;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;

  [[nodiscard]] std::size_t n_elements() const { return bytes.size() / size_of(dtype); }

  /// The elements; errors (kInvalid) when the array holds another type.
  template <Element T>
  [[nodiscard]] Result<std::span<const T>> as() const {
    if (!reads_as<T>(dtype)) {
      return fail(ErrorCode::kInvalid, "an array of {} was found where {} is needed", name_of(dtype),
                  name_of(dtype_of<T>()));
    }
    return std::span<const T>(reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T));
  }
};

/// A view of elements in memory; `elements` must have as many as the shape says.
template <Element T>
[[nodiscard]] TensorView view_of(std::vector<std::int64_t> shape, std::span<const T> elements) {
  return {dtype_of<T>(), std::move(shape), std::as_bytes(elements)};
}

}  // namespace gauntlet::io
