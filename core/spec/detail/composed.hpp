#pragma once

#include <array>
#include <cstdint>

namespace gauntlet::spec::detail {

/// First number of the composed configs' keys (ConfigTable::composed).
enum class Composed : std::uint32_t {
  kModel,
  kEncode,
  kTrainAttack,
  kCraft,
  kDefense,
  kTrainDefense,
  kEvaluate,
  kFeatures,
  kFeatureLocations,
  kExplain
};

template <class... Numbers>
std::array<std::uint32_t, 8> made_from(Composed kind, Numbers... numbers) {
  return {static_cast<std::uint32_t>(kind), static_cast<std::uint32_t>(numbers)...};
}

}  // namespace gauntlet::spec::detail
