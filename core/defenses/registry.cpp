#include <array>

#include "core/defenses/defense.hpp"

namespace gauntlet::defenses {

#define GAUNTLET_DEFENSE(name) extern const DefenseEntry name##_entry;
#include "core/defenses/defenses.def"
#undef GAUNTLET_DEFENSE

const Registry<DefenseEntry>& defense_registry() {
#define GAUNTLET_DEFENSE(name) &name##_entry,
  static constexpr std::array kEntries = {
#include "core/defenses/defenses.def"
  };
#undef GAUNTLET_DEFENSE
  static constexpr Registry<DefenseEntry> kRegistry("defense", kEntries);
  return kRegistry;
}

Json describe_defenses() {
  Json all = defense_registry().describe_all();
  for (std::size_t at = 0; at < all.size(); ++at) {
    all[at]["declaration"] = describe(defense_registry().entries()[at]->declaration);
  }
  return all;
}

}  // namespace gauntlet::defenses
