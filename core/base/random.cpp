#include "core/base/random.hpp"

#include <fmt/core.h>

#include "core/base/hash.hpp"

namespace gauntlet {
namespace {

constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15U;

std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

}  // namespace

RandomStream RandomStream::of(std::uint64_t seed, std::uint64_t tag, std::uint64_t index) {
  return RandomStream(mix(mix(mix(seed + kGolden) + tag) + index));
}

std::uint64_t RandomStream::next() {
  state_ += kGolden;
  return mix(state_);
}

std::uint32_t RandomStream::below(std::uint32_t n) {
  return static_cast<std::uint32_t>(((next() >> 32) * n) >> 32);
}

double RandomStream::uniform() { return static_cast<double>(next() >> 40) * 0x1.0p-24; }

std::uint64_t purpose_seed(std::uint64_t cell_seed, std::string_view dataset_id, std::string_view purpose) {
  const Digest digest = sha256(fmt::format("{}/{}/{}", cell_seed, dataset_id, purpose));
  std::uint64_t seed = 0;
  for (int byte = 7; byte >= 0; --byte) seed = (seed << 8) | digest[static_cast<std::size_t>(byte)];
  return seed;
}

}  // namespace gauntlet
