// Transposition of small bit matrices, between items that hold their bits and planes that hold one bit of
// many items.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gauntlet::metrics {

/// In place: afterwards bit c of word r is what bit r of word c was. (Swaps halves of halving blocks.)
inline void transpose_64(std::uint64_t (&rows)[64]) {
  std::uint64_t mask = 0x00000000ffffffffULL;
  for (unsigned half = 32; half != 0; half >>= 1, mask ^= mask << half) {
    for (unsigned row = 0; row < 64; row = ((row | half) + 1) & ~half) {
      const std::uint64_t swapped = ((rows[row] >> half) ^ rows[row | half]) & mask;
      rows[row] ^= swapped << half;
      rows[row | half] ^= swapped;
    }
  }
}

/// Byte r of the result holds bit r of each byte of `rows`: bit c is bit r of byte c.
[[nodiscard]] constexpr std::uint64_t transpose_8(std::uint64_t rows) {
  std::uint64_t swapped = (rows ^ (rows >> 7)) & 0x00aa00aa00aa00aaULL;
  rows ^= swapped ^ (swapped << 7);
  swapped = (rows ^ (rows >> 14)) & 0x0000cccc0000ccccULL;
  rows ^= swapped ^ (swapped << 14);
  swapped = (rows ^ (rows >> 28)) & 0x00000000f0f0f0f0ULL;
  return rows ^ swapped ^ (swapped << 28);
}

/// The numbers of 64 items from their `n_planes` <= 16 planes, lowest weight first.
inline void unslice(const std::uint64_t (&planes)[16], std::size_t n_planes, std::uint16_t* numbers) {
  for (std::size_t group = 0; group < 8; ++group) {
    std::uint64_t halves[2] = {0, 0};
    for (std::size_t plane = 0; plane < n_planes; ++plane) {
      halves[plane / 8] |= ((planes[plane] >> (8 * group)) & 0xff) << (8 * (plane % 8));
    }
    const std::uint64_t low = transpose_8(halves[0]);
    const std::uint64_t high = n_planes > 8 ? transpose_8(halves[1]) : 0;
    for (std::size_t item = 0; item < 8; ++item) {
      numbers[8 * group + item] =
          static_cast<std::uint16_t>(((low >> (8 * item)) & 0xff) | (((high >> (8 * item)) & 0xff) << 8));
    }
  }
}

}  // namespace gauntlet::metrics
