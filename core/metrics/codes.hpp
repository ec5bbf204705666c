// Binary codes, packed: bit j of an item is 1 iff its network output j is > 0.
// Bit j lies in word j / 64 at position j mod 64 (least significant first); unused bits are 0.
// Thread safety: immutable after construction.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "core/base/result.hpp"

namespace gauntlet::metrics {

inline constexpr std::int64_t kMaxCodeBits = 4096;

class PackedCodes {
 public:
  /// From outputs, row-major [n, bits] of any number type; 0 gives bit 0. Errors (kInvalid): a NaN (with its
  /// row, counted from `first_row`, and column), bits outside 1..kMaxCodeBits, a size that is not a multiple
  /// of bits.
  template <class T>
  requires std::is_arithmetic_v<T>
  [[nodiscard]] static Result<PackedCodes> from_values(std::span<const T> values, std::int64_t bits,
                                                       std::int64_t first_row = 0);

  /// From bytes, row-major [n, ceil(bits / 8)], least significant bit first. Errors (kInvalid): a bit set
  /// beyond `bits`, a size that is not a multiple of the row's.
  [[nodiscard]] static Result<PackedCodes> from_packed(std::span<const std::uint8_t> bytes, std::int64_t bits,
                                                       std::int64_t first_row = 0);

  [[nodiscard]] std::int64_t n() const { return n_; }
  [[nodiscard]] std::int64_t bits() const { return bits_; }
  [[nodiscard]] std::int64_t n_words() const { return n_words_; }
  [[nodiscard]] std::span<const std::uint64_t> row(std::int64_t item) const {
    return std::span(words_).subspan(static_cast<std::size_t>(item * n_words_),
                                     static_cast<std::size_t>(n_words_));
  }
  /// Rows [first, first + n), one after the other.
  [[nodiscard]] std::span<const std::uint64_t> rows(std::int64_t first, std::int64_t n) const {
    return std::span(words_).subspan(static_cast<std::size_t>(first * n_words_),
                                     static_cast<std::size_t>(n * n_words_));
  }
  /// Outputs that were exactly 0; always 0 for codes read from bytes.
  [[nodiscard]] std::int64_t n_zeros() const { return n_zeros_; }
  /// Whether any output was negative; without one, zeros are simply the other bit value of 0/1 codes.
  [[nodiscard]] bool has_negative() const { return has_negative_; }

  /// Row-major [n, ceil(bits / 8)], as from_packed reads it.
  [[nodiscard]] std::vector<std::uint8_t> to_bytes() const;

 private:
  [[nodiscard]] static Result<PackedCodes> sized(std::size_t n_values, std::int64_t per_row,
                                                 std::int64_t bits);

  std::int64_t n_ = 0;
  std::int64_t bits_ = 0;
  std::int64_t n_words_ = 0;
  std::int64_t n_zeros_ = 0;
  bool has_negative_ = false;
  std::vector<std::uint64_t> words_;  ///< [n, n_words]
};

template <class T>
requires std::is_arithmetic_v<T> Result<PackedCodes> PackedCodes::from_values(std::span<const T> values,
                                                                              std::int64_t bits,
                                                                              std::int64_t first_row) {
  GAUNTLET_TRY(PackedCodes codes, sized(values.size(), bits, bits));
  const T* value = values.data();
  const std::int64_t n_all_words = codes.n_ * codes.n_words_;
  for (std::int64_t at = 0; at < n_all_words; ++at) {
    // Without branches: the bits of good codes cannot be predicted.
    const std::int64_t n_bits = std::min<std::int64_t>(64, bits - at % codes.n_words_ * 64);
    std::uint64_t word = 0;
    std::int64_t n_numbers = 0, n_zeros = 0, n_negative = 0;
    for (std::int64_t bit = 0; bit < n_bits; ++bit) {
      word |= std::uint64_t{value[bit] > T{0}} << bit;
      n_numbers += value[bit] == value[bit];
      n_zeros += value[bit] == T{0};
      n_negative += value[bit] < T{0};
    }
    if (n_numbers != n_bits) {
      const T* const nan = std::find_if(value, value + n_bits, [](T each) { return each != each; });
      return fail(ErrorCode::kInvalid, "codes hold NaN at row {}, column {}; every output must be a number",
                  first_row + (nan - values.data()) / bits, (nan - values.data()) % bits);
    }
    codes.words_[static_cast<std::size_t>(at)] = word;
    codes.n_zeros_ += n_zeros;
    codes.has_negative_ = codes.has_negative_ || n_negative > 0;
    value += n_bits;
  }
  return codes;
}

}  // namespace gauntlet::metrics
