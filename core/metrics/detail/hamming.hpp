// Hamming distances of one code to many: a scalar reference and faster paths chosen at run time.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace gauntlet::metrics {

enum class HammingPath : std::uint8_t { kScalar, kPopcnt, kAvx2, kAvx512 };
[[nodiscard]] std::string_view name_of(HammingPath path);

/// The paths this processor can run, slowest first; the scalar one is always there.
[[nodiscard]] std::vector<HammingPath> available_hamming_paths();
[[nodiscard]] HammingPath fastest_hamming_path();

/// distances[i] = popcount(query xor code i) for i = 0 .. distances.size()-1.
/// `query`: W words. `planes`: code word w of item i at planes[w * plane_stride + i]; nothing beyond the last
/// item is read.
void hamming_distances(HammingPath path, std::span<const std::uint64_t> query, const std::uint64_t* planes,
                       std::size_t plane_stride, std::span<std::uint16_t> distances);

}  // namespace gauntlet::metrics
