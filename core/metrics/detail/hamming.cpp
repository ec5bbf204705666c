#include "core/metrics/detail/hamming.hpp"

#include <bit>

#if defined(__x86_64__)
#include <immintrin.h>
#define GAUNTLET_X86 1
#endif

namespace gauntlet::metrics {
namespace {

struct Planes {
  std::span<const std::uint64_t> query;
  const std::uint64_t* words;
  std::size_t stride;
};

/// Items [from, distances.size()), one by one.
void scalar_tail(const Planes& codes, std::size_t from, std::span<std::uint16_t> distances) {
  for (std::size_t item = from; item < distances.size(); ++item) {
    int distance = 0;
    for (std::size_t word = 0; word < codes.query.size(); ++word) {
      distance += std::popcount(codes.query[word] ^ codes.words[word * codes.stride + item]);
    }
    distances[item] = static_cast<std::uint16_t>(distance);
  }
}

#ifdef GAUNTLET_X86
[[gnu::target("popcnt")]] void popcnt_path(const Planes& codes, std::span<std::uint16_t> distances) {
  for (std::size_t item = 0; item < distances.size(); ++item) {
    long long distance = 0;
    for (std::size_t word = 0; word < codes.query.size(); ++word) {
      distance += __builtin_popcountll(codes.query[word] ^ codes.words[word * codes.stride + item]);
    }
    distances[item] = static_cast<std::uint16_t>(distance);
  }
}

/// Four items at a time: bits of each nibble from a table, summed per 64-bit lane.
[[gnu::target("avx2")]] void avx2_path(const Planes& codes, std::span<std::uint16_t> distances) {
  const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                                         0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  const __m256i low_nibble = _mm256_set1_epi8(0x0f);
  std::size_t item = 0;
  for (; item + 4 <= distances.size(); item += 4) {
    __m256i sum = _mm256_setzero_si256();
    for (std::size_t word = 0; word < codes.query.size(); ++word) {
      const auto* source = reinterpret_cast<const __m256i*>(codes.words + word * codes.stride + item);
      const __m256i query = _mm256_set1_epi64x(static_cast<long long>(codes.query[word]));
      const __m256i differing = _mm256_xor_si256(query, _mm256_loadu_si256(source));
      const __m256i low = _mm256_shuffle_epi8(table, _mm256_and_si256(differing, low_nibble));
      const __m256i high =
          _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(differing, 4), low_nibble));
      sum = _mm256_add_epi64(sum, _mm256_sad_epu8(_mm256_add_epi8(low, high), _mm256_setzero_si256()));
    }
    alignas(32) std::uint64_t lanes[4];
    _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), sum);
    for (std::size_t lane = 0; lane < 4; ++lane) {
      distances[item + lane] = static_cast<std::uint16_t>(lanes[lane]);
    }
  }
  scalar_tail(codes, item, distances);
}

/// Eight items at a time with the processor's own count of bits per 64-bit lane.
[[gnu::target("avx512f,avx512vpopcntdq")]] void avx512_path(const Planes& codes,
                                                            std::span<std::uint16_t> distances) {
  std::size_t item = 0;
  for (; item + 8 <= distances.size(); item += 8) {
    __m512i sum = _mm512_setzero_si512();
    for (std::size_t word = 0; word < codes.query.size(); ++word) {
      const __m512i query = _mm512_set1_epi64(static_cast<long long>(codes.query[word]));
      const __m512i code = _mm512_loadu_si512(codes.words + word * codes.stride + item);
      sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(_mm512_xor_si512(query, code)));
    }
    _mm512_mask_cvtepi64_storeu_epi16(distances.data() + item, 0xff, sum);
  }
  scalar_tail(codes, item, distances);
}
#endif

}  // namespace

std::string_view name_of(HammingPath path) {
  switch (path) {
    case HammingPath::kScalar:
      return "scalar";
    case HammingPath::kPopcnt:
      return "popcnt";
    case HammingPath::kAvx2:
      return "avx2";
    case HammingPath::kAvx512:
      return "avx512";
  }
  return "unknown";
}

std::vector<HammingPath> available_hamming_paths() {
  std::vector<HammingPath> paths = {HammingPath::kScalar};
#ifdef GAUNTLET_X86
  if (__builtin_cpu_supports("popcnt")) paths.push_back(HammingPath::kPopcnt);
  if (__builtin_cpu_supports("avx2")) paths.push_back(HammingPath::kAvx2);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vpopcntdq")) {
    paths.push_back(HammingPath::kAvx512);
  }
#endif
  return paths;
}

HammingPath fastest_hamming_path() { return available_hamming_paths().back(); }

void hamming_distances(HammingPath path, std::span<const std::uint64_t> query, const std::uint64_t* planes,
                       std::size_t plane_stride, std::span<std::uint16_t> distances) {
  const Planes codes{query, planes, plane_stride};
#ifdef GAUNTLET_X86
  switch (path) {
    case HammingPath::kScalar:
      scalar_tail(codes, 0, distances);
      return;
    case HammingPath::kPopcnt:
      popcnt_path(codes, distances);
      return;
    case HammingPath::kAvx2:
      avx2_path(codes, distances);
      return;
    case HammingPath::kAvx512:
      avx512_path(codes, distances);
      return;
  }
#endif
  scalar_tail(codes, 0, distances);
}

}  // namespace gauntlet::metrics
