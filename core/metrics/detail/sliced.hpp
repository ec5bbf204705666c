// Counting Hamming distances on bit planes: 64 items per word, one word per bit of the code. Carry-save
// adders turn the planes of differing bits into the planes of the distance; the items at each distance, and
// the relevant ones among them, are population counts of masks. Nothing is stored per pair. One source for
// every instruction set (Highway); the path is chosen at run time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace gauntlet::metrics {

/// Instruction sets, slowest first. kAvx512Vpopcnt: AVX-512 with VPOPCNTDQ and BITALG.
enum class SimdPath : std::uint8_t { kScalar, kNeon, kSse4, kAvx2, kAvx512, kAvx512Vpopcnt };
[[nodiscard]] std::string_view name_of(SimdPath path);  // "scalar", "neon", "sse4", "avx2", "avx512", …

/// The paths that this build has and this processor can run, slowest first; the scalar one is always there.
[[nodiscard]] std::vector<SimdPath> available_simd_paths();
[[nodiscard]] SimdPath fastest_simd_path();
/// Errors (kInvalid): no path of that name here; lists those there are.
[[nodiscard]] Result<SimdPath> simd_path_from(std::string_view name);

inline constexpr std::size_t kSliceWords = 8;  ///< planes are padded with zeros to a multiple of this

/// Bit planes of items. Item i is bit i mod 64 of word i / 64 of every plane.
struct SlicedCodes {
  const std::uint64_t* planes = nullptr;  ///< plane b starts at planes + b * stride
  std::size_t stride = 0;                 ///< words
  std::size_t n_words = 0;                ///< per plane; a multiple of kSliceWords
  std::size_t bits = 0;                   ///< K
  /// Planes there are: K rounded up to a multiple of 8, the last ones all zero.
  [[nodiscard]] std::size_t n_planes() const { return (bits + 7) / 8 * 8; }
};

/// Relevance of the items as bit maps [n_words], 0 beyond the last item; a null one is not counted.
struct SlicedRelevance {
  const std::uint64_t* own = nullptr;
  const std::uint64_t* target = nullptr;
};

/// Per distance, [K+1]; `own` and `target` as far as they were asked for.
struct SlicedCounts {
  std::uint64_t* items = nullptr;
  std::uint64_t* own = nullptr;
  std::uint64_t* target = nullptr;
};

/// Adds the items of `codes` to `counts` by their distance to `query` (ceil(K / 64) words). Padding counts as
/// items whose code is 0.
void add_counts(SimdPath path, const SlicedCodes& codes, std::span<const std::uint64_t> query,
                const SlicedRelevance& relevance, const SlicedCounts& counts);

/// Distances of all n_words * 64 items, padding included.
void sliced_distances(SimdPath path, const SlicedCodes& codes, std::span<const std::uint64_t> query,
                      std::span<std::uint16_t> distances);

}  // namespace gauntlet::metrics
