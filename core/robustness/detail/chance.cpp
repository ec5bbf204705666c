#include "core/robustness/detail/chance.hpp"

namespace gauntlet::robustness {

std::vector<double> chance_of(const Evidence& own, std::size_t n) {
  for (const char* level : {"map:chance", "chance_map"}) {
    for (const Arm& arm : own.arms) {
      const auto found = arm.per_query.find(level);
      if (found != arm.per_query.end() && found->second.size() == n) return found->second;
    }
  }
  const std::optional<double> chance = own.level("chance_map");
  return chance ? std::vector<double>(n, *chance) : std::vector<double>();
}

}  // namespace gauntlet::robustness
