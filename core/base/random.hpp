// Reproducible random streams (SplitMix64), independent of platform, thread count and batch size.
// Every consumer names its purpose, so that runs that should share randomness (the same starts for every
// defense) do.
#pragma once

#include <cstdint>
#include <string_view>

namespace gauntlet {

/// One stream of 64-bit numbers. Equal states give equal sequences everywhere. Plain value.
class RandomStream {
 public:
  explicit RandomStream(std::uint64_t state) : state_(state) {}

  /// The stream of item `index` of a family: mix(mix(mix(seed + G) + tag) + index).
  [[nodiscard]] static RandomStream of(std::uint64_t seed, std::uint64_t tag, std::uint64_t index);

  std::uint64_t next();
  /// Uniform in [0, n), n >= 1; exactly one draw; bias below n / 2^32.
  std::uint32_t below(std::uint32_t n);
  /// Uniform in [0, 1) with 24 random bits, so float and double agree.
  double uniform();
  /// The 64 bits the next draw starts from; of a fresh stream, a number that identifies it.
  [[nodiscard]] std::uint64_t state() const { return state_; }

 private:
  std::uint64_t state_;
};

/// Seed of a named purpose: the first 8 bytes (little endian) of SHA-256 of "<cell seed>/<dataset
/// id>/<purpose>".
[[nodiscard]] std::uint64_t purpose_seed(std::uint64_t cell_seed, std::string_view dataset_id,
                                         std::string_view purpose);

}  // namespace gauntlet
