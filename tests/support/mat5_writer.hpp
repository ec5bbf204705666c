// MAT v5 files as bytes, right ones and wrong ones.
#pragma once

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gauntlet::testing_support::mat5 {

enum Class : std::uint8_t {
  kCell = 1,
  kStruct = 2,
  kChar = 4,
  kSparse = 5,
  kDouble = 6,
  kSingle = 7,
  kUInt8 = 9,
  kInt64 = 14
};
enum Type : std::uint32_t {
  kI8 = 1,
  kU8 = 2,
  kU16 = 4,
  kI32 = 5,
  kU32 = 6,
  kF32 = 7,
  kF64 = 9,
  kI64 = 12,
  kUtf8 = 16
};

inline std::string u32(std::uint32_t value) {
  std::string bytes(4, '\0');
  std::memcpy(bytes.data(), &value, 4);
  return bytes;
}

/// A tag, its data, zeros up to a multiple of 8.
inline std::string element(std::uint32_t type, std::string_view data) {
  std::string bytes = u32(type) + u32(static_cast<std::uint32_t>(data.size()));
  bytes += data;
  bytes.resize((bytes.size() + 7) / 8 * 8, '\0');
  return bytes;
}

template <class T>
std::string raw(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// An array; `body`: its elements after the name.
inline std::string matrix(std::string_view name, std::uint32_t flags, const std::vector<std::int32_t>& size,
                          std::string_view body) {
  return element(
      14, element(6, u32(flags) + u32(0)) + element(5, raw(size)) + element(1, name) + std::string(body));
}

/// Column-major numbers of `array_class`, stored as `type`.
template <class T>
std::string numbers(std::string_view name, Class array_class, const std::vector<std::int32_t>& size,
                    Type type, const std::vector<T>& values) {
  return matrix(name, array_class, size, element(type, raw(values)));
}

/// Rows of chars, padded with blanks.
inline std::string chars(std::string_view name, const std::vector<std::string>& rows) {
  std::size_t length = 0;
  for (const std::string& row : rows) length = std::max(length, row.size());
  std::vector<std::uint16_t> units;
  for (std::size_t letter = 0; letter < length; ++letter) {
    for (const std::string& row : rows)
      units.push_back(letter < row.size() ? static_cast<std::uint8_t>(row[letter]) : std::uint8_t{' '});
  }
  return matrix(name, kChar, {static_cast<std::int32_t>(rows.size()), static_cast<std::int32_t>(length)},
                element(kU16, raw(units)));
}

/// A cell array of char matrices, one per cell, in column-major order.
inline std::string cells(std::string_view name, const std::vector<std::int32_t>& size,
                         const std::vector<std::vector<std::string>>& contents) {
  std::string body;
  for (const auto& rows : contents) body += chars("", rows);
  return matrix(name, kCell, size, body);
}

/// The same element packed.
inline std::string packed(std::string_view bytes) {
  uLongf n = compressBound(bytes.size());
  std::string data(n, '\0');
  EXPECT_EQ(compress(reinterpret_cast<Bytef*>(data.data()), &n, reinterpret_cast<const Bytef*>(bytes.data()),
                     bytes.size()),
            Z_OK);
  data.resize(n);
  return u32(15) + u32(static_cast<std::uint32_t>(n)) + data;
}

inline std::string header() {
  std::string text = "MATLAB 5.0 MAT-file, made by a test";
  text.resize(124, ' ');
  return text + std::string("\x00\x01IM", 4);
}

inline std::string file(const std::vector<std::string>& variables) {
  std::string bytes = header();
  for (const std::string& variable : variables) bytes += variable;
  return bytes;
}

}  // namespace gauntlet::testing_support::mat5
