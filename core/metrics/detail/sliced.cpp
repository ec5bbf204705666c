// Compiled once per instruction set: Highway includes this file again for each.
#include "core/metrics/detail/sliced.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/check.hpp"
#include "core/metrics/detail/transpose.hpp"

#define HWY_COMPILE_ALL_ATTAINABLE  // with the scalar one, which the others are tested against
#define HWY_WANT_AVX3_DL
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/metrics/detail/sliced.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// after foreach_target.h
#include "hwy/highway.h"

#ifndef GAUNTLET_SLICED_JOB_
#define GAUNTLET_SLICED_JOB_
namespace gauntlet::metrics {

/// One query against the items of a SlicedCodes, step by step.
struct SlicedJob {
  const SlicedCodes* codes;
  const std::uint64_t* query;  ///< [n_planes] 0 or all ones
  std::size_t n_high;          ///< planes of a distance above its lowest three
  std::size_t first;           ///< word where the step begins
  std::size_t n_words;         ///< of the step
  SlicedRelevance relevance;
  SlicedCounts counts;
};

}  // namespace gauntlet::metrics
#endif

HWY_BEFORE_NAMESPACE();
namespace gauntlet::metrics::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr std::size_t kVectors =
    16;  ///< in a step; bytes of 8 bits each cannot overflow an 8-bit sum of them
constexpr std::size_t kMaxHigh = 10;  ///< planes of a distance up to 4096 above its lowest three
constexpr std::size_t kInRegisters = 4;

using Words = hn::ScalableTag<std::uint64_t>;
using Vector = hn::Vec<Words>;
constexpr Words kWords{};
constexpr std::size_t kStepWords = kVectors * hn::MaxLanes(Words());

/// The planes of the distances of one step's items, and the masks made from them.
struct alignas(64) Step {
  std::uint64_t low[3][kStepWords];                 ///< of weight 1, 2, 4
  std::uint64_t high[kMaxHigh][kStepWords];         ///< of weight 8, 16, …
  std::uint64_t rest[8][kStepWords];                ///< items whose distance mod 8 is 0 … 7
  std::uint64_t same[kMaxHigh + 1][2][kStepWords];  ///< items whose upper planes agree, by level
};

/// Full adder: leaves the sum of three planes in `sum`, returns the carries.
HWY_INLINE Vector Add(Vector& sum, Vector a, Vector b) {
  const Vector differ = hn::Xor(sum, a);
  const Vector carry = hn::OrAnd(hn::And(sum, a), differ, b);
  sum = hn::Xor(differ, b);
  return carry;
}

/// Half adder.
HWY_INLINE Vector Increment(Vector& sum, Vector a) {
  const Vector carry = hn::And(sum, a);
  sum = hn::Xor(sum, a);
  return carry;
}

HWY_INLINE Vector Differing(const SlicedJob& job, std::size_t plane, std::size_t at) {
  const std::uint64_t* words = job.codes->planes + plane * job.codes->stride + job.first + at;
  return hn::Xor(hn::LoadU(kWords, words), hn::Set(kWords, job.query[plane]));
}

/// Distances of the step as planes. 8 planes of the code at a time: 7 full adders, then the carry ripples up.
void AddPlanes(const SlicedJob& job, Step& step) {
  for (std::size_t at = 0; at < job.n_words; at += hn::Lanes(kWords)) {
    Vector ones = hn::Zero(kWords), twos = ones, fours = ones;
    Vector high0 = ones, high1 = ones, high2 = ones, high3 = ones;
    for (std::size_t p = kInRegisters; p < job.n_high; ++p) hn::StoreU(ones, kWords, step.high[p] + at);
    for (std::size_t plane = 0; plane < job.codes->n_planes(); plane += 8) {
      const Vector two0 = Add(ones, Differing(job, plane, at), Differing(job, plane + 1, at));
      const Vector two1 = Add(ones, Differing(job, plane + 2, at), Differing(job, plane + 3, at));
      const Vector four0 = Add(twos, two0, two1);
      const Vector two2 = Add(ones, Differing(job, plane + 4, at), Differing(job, plane + 5, at));
      const Vector two3 = Add(ones, Differing(job, plane + 6, at), Differing(job, plane + 7, at));
      const Vector four1 = Add(twos, two2, two3);
      Vector carry = Add(fours, four0, four1);
      carry = Increment(high0, carry);
      carry = Increment(high1, carry);
      carry = Increment(high2, carry);
      carry = Increment(high3, carry);
      for (std::size_t p = kInRegisters; p < job.n_high; ++p) {
        Vector sum = hn::LoadU(kWords, step.high[p] + at);
        carry = Increment(sum, carry);
        hn::StoreU(sum, kWords, step.high[p] + at);
      }
    }
    hn::StoreU(ones, kWords, step.low[0] + at);
    hn::StoreU(twos, kWords, step.low[1] + at);
    hn::StoreU(fours, kWords, step.low[2] + at);
    hn::StoreU(high0, kWords, step.high[0] + at);
    hn::StoreU(high1, kWords, step.high[1] + at);
    hn::StoreU(high2, kWords, step.high[2] + at);
    hn::StoreU(high3, kWords, step.high[3] + at);
  }
}

void SplitLow(const SlicedJob& job, Step& step) {
  for (std::size_t at = 0; at < job.n_words; at += hn::Lanes(kWords)) {
    const Vector ones = hn::LoadU(kWords, step.low[0] + at);
    const Vector twos = hn::LoadU(kWords, step.low[1] + at);
    const Vector fours = hn::LoadU(kWords, step.low[2] + at);
    const Vector upper[4] = {hn::Not(hn::Or(twos, fours)), hn::AndNot(fours, twos), hn::AndNot(twos, fours),
                             hn::And(twos, fours)};
    for (std::size_t pair = 0; pair < 4; ++pair) {
      hn::StoreU(hn::AndNot(ones, upper[pair]), kWords, step.rest[2 * pair] + at);
      hn::StoreU(hn::And(ones, upper[pair]), kWords, step.rest[2 * pair + 1] + at);
    }
  }
}

// Sums of the ones in up to kVectors vectors.
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
using Ones = Vector;
HWY_INLINE Ones NoOnes() { return hn::Zero(kWords); }
HWY_INLINE Ones AddOnes(Ones sum, Vector v) { return hn::Add(sum, hn::PopulationCount(v)); }
HWY_INLINE std::uint64_t Total(Ones sum) { return hn::GetLane(hn::SumOfLanes(kWords, sum)); }
#else
using Bytes = hn::Repartition<std::uint8_t, Words>;
using Ones = hn::Vec<Bytes>;
HWY_INLINE Ones NoOnes() { return hn::Zero(Bytes()); }
HWY_INLINE Ones AddOnes(Ones sum, Vector v) {
  return hn::Add(sum, hn::PopulationCount(hn::BitCast(Bytes(), v)));
}
HWY_INLINE std::uint64_t Total(Ones sum) { return hn::GetLane(hn::SumOfLanes(kWords, hn::SumsOf8(sum))); }
#endif

/// Counts the items of `same`, whose distances share everything but the lowest three planes.
template <bool kTarget>
void CountLeaves(const SlicedJob& job, const Step& step, const std::uint64_t* same, std::size_t distance) {
  const std::size_t last = std::min(distance + 7, job.codes->bits);
  const std::uint64_t* own_bits = job.relevance.own + job.first;
  const std::uint64_t* target_bits = kTarget ? job.relevance.target + job.first : nullptr;
  for (std::size_t d = distance; d <= last; ++d) {
    const std::uint64_t* rest = step.rest[d - distance];
    Ones items = NoOnes(), own = items, target = items;
    for (std::size_t at = 0; at < job.n_words; at += hn::Lanes(kWords)) {
      const Vector here = hn::And(hn::LoadU(kWords, same + at), hn::LoadU(kWords, rest + at));
      items = AddOnes(items, here);
      own = AddOnes(own, hn::And(here, hn::LoadU(kWords, own_bits + at)));
      if (kTarget) target = AddOnes(target, hn::And(here, hn::LoadU(kWords, target_bits + at)));
    }
    job.counts.items[d] += Total(items);
    job.counts.own[d] += Total(own);
    if (kTarget) job.counts.target[d] += Total(target);
  }
}

/// Descends the upper planes, highest first; where no item is left there is nothing below.
template <bool kTarget>
void Walk(const SlicedJob& job, Step& step, std::size_t level, const std::uint64_t* same,
          std::size_t distance) {
  if (level == 0) return CountLeaves<kTarget>(job, step, same, 8 * distance);
  const std::uint64_t* plane = step.high[level - 1];
  std::uint64_t(&halves)[2][kStepWords] = step.same[level - 1];
  Vector any_clear = hn::Zero(kWords), any_set = any_clear;
  for (std::size_t at = 0; at < job.n_words; at += hn::Lanes(kWords)) {
    const Vector bits = hn::LoadU(kWords, plane + at);
    const Vector all = hn::LoadU(kWords, same + at);
    const Vector clear = hn::AndNot(bits, all);
    const Vector set = hn::And(bits, all);
    hn::StoreU(clear, kWords, halves[0] + at);
    hn::StoreU(set, kWords, halves[1] + at);
    any_clear = hn::Or(any_clear, clear);
    any_set = hn::Or(any_set, set);
  }
  const Vector zero = hn::Zero(kWords);
  if (!hn::AllTrue(kWords, hn::Eq(any_clear, zero))) {
    Walk<kTarget>(job, step, level - 1, halves[0], 2 * distance);
  }
  if (!hn::AllTrue(kWords, hn::Eq(any_set, zero))) {
    Walk<kTarget>(job, step, level - 1, halves[1], 2 * distance + 1);
  }
}

void AddCounts(SlicedJob job) {
  Step step;
  std::fill(step.same[kMaxHigh][0], step.same[kMaxHigh][0] + kStepWords, ~std::uint64_t{0});
  for (job.first = 0; job.first < job.codes->n_words; job.first += kStepWords) {
    job.n_words = std::min(kStepWords, job.codes->n_words - job.first);
    AddPlanes(job, step);
    SplitLow(job, step);
    if (job.relevance.target != nullptr) {
      Walk<true>(job, step, job.n_high, step.same[kMaxHigh][0], 0);
    } else {
      Walk<false>(job, step, job.n_high, step.same[kMaxHigh][0], 0);
    }
  }
}

void Distances(SlicedJob job, std::uint16_t* distances) {
  Step step;
  for (job.first = 0; job.first < job.codes->n_words; job.first += kStepWords) {
    job.n_words = std::min(kStepWords, job.codes->n_words - job.first);
    AddPlanes(job, step);
    for (std::size_t word = 0; word < job.n_words; ++word) {
      std::uint64_t planes[16] = {step.low[0][word], step.low[1][word], step.low[2][word]};
      for (std::size_t p = 0; p < job.n_high; ++p) planes[3 + p] = step.high[p][word];
      unslice(planes, 3 + job.n_high, distances + (job.first + word) * 64);
    }
  }
}

}  // namespace gauntlet::metrics::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gauntlet::metrics {
namespace {

HWY_EXPORT(AddCounts);
HWY_EXPORT(Distances);

struct KnownPath {
  SimdPath path;
  std::int64_t target;  ///< Highway's bit
  std::string_view name;
};
constexpr KnownPath kPaths[] = {
    {SimdPath::kScalar, HWY_SCALAR | HWY_EMU128, "scalar"},
    {SimdPath::kNeon, HWY_NEON, "neon"},
    {SimdPath::kSse4, HWY_SSE4, "sse4"},
    {SimdPath::kAvx2, HWY_AVX2, "avx2"},
    {SimdPath::kAvx512, HWY_AVX3, "avx512"},
    {SimdPath::kAvx512Vpopcnt, HWY_AVX3_DL, "avx512_vpopcntdq"},
};

/// Where the functions of a path lie in Highway's tables.
std::size_t index_of(SimdPath path) {
  hwy::ChosenTarget chosen;
  chosen.Update(kPaths[static_cast<std::size_t>(path)].target);
  return chosen.GetIndex();
}

/// Every bit of the query as a whole word.
std::vector<std::uint64_t> widened(const SlicedCodes& codes, std::span<const std::uint64_t> query) {
  std::vector<std::uint64_t> words(codes.n_planes(), 0);
  for (std::size_t bit = 0; bit < codes.bits; ++bit) words[bit] = -((query[bit / 64] >> (bit % 64)) & 1);
  return words;
}

/// Planes above weight 4 that distances up to `bits` need.
std::size_t n_high_planes(std::size_t bits) {
  std::size_t n = 0;
  while ((bits >> (3 + n)) != 0) ++n;
  return std::max<std::size_t>(n, 1);
}

SlicedJob job_of(const SlicedCodes& codes, const std::vector<std::uint64_t>& query) {
  GAUNTLET_CHECK(codes.n_words % kSliceWords == 0);
  SlicedJob job{};
  job.codes = &codes;
  job.query = query.data();
  job.n_high = n_high_planes(codes.bits);
  return job;
}

}  // namespace

std::string_view name_of(SimdPath path) { return kPaths[static_cast<std::size_t>(path)].name; }

std::vector<SimdPath> available_simd_paths() {
  const std::int64_t available = hwy::SupportedTargets() & HWY_TARGETS;
  std::vector<SimdPath> paths;
  for (const KnownPath& known : kPaths) {
    if (known.path == SimdPath::kScalar || (known.target & available) != 0) paths.push_back(known.path);
  }
  return paths;
}

SimdPath fastest_simd_path() {
  static const SimdPath kFastest = available_simd_paths().back();
  return kFastest;
}

Result<SimdPath> simd_path_from(std::string_view name) {
  std::vector<std::string_view> names;
  for (const SimdPath path : available_simd_paths()) {
    if (name == name_of(path)) return path;
    names.push_back(name_of(path));
  }
  return fail(ErrorCode::kInvalid, "this processor has no path '{}'; it has {}", name,
              fmt::join(names, ", "));
}

void add_counts(SimdPath path, const SlicedCodes& codes, std::span<const std::uint64_t> query,
                const SlicedRelevance& relevance, const SlicedCounts& counts) {
  const std::vector<std::uint64_t> words = widened(codes, query);
  SlicedJob job = job_of(codes, words);
  job.relevance = relevance;
  job.counts = counts;
  HWY_DISPATCH_TABLE(AddCounts)[index_of(path)](job);
}

void sliced_distances(SimdPath path, const SlicedCodes& codes, std::span<const std::uint64_t> query,
                      std::span<std::uint16_t> distances) {
  const std::vector<std::uint64_t> words = widened(codes, query);
  GAUNTLET_CHECK(distances.size() == codes.n_words * 64);
  HWY_DISPATCH_TABLE(Distances)[index_of(path)](job_of(codes, words), distances.data());
}

}  // namespace gauntlet::metrics
#endif
