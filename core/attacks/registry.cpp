#include "core/attacks/attack.hpp"

namespace gauntlet::attacks {

#define GAUNTLET_ATTACK(stem) extern const AttackEntry stem##_entry;
#include "core/attacks/attacks.def"
#undef GAUNTLET_ATTACK

namespace {

constexpr const AttackEntry* kEntries[] = {
#define GAUNTLET_ATTACK(stem) &stem##_entry,
#include "core/attacks/attacks.def"
#undef GAUNTLET_ATTACK
};

}  // namespace

const Registry<AttackEntry>& attack_registry() {
  static constexpr Registry<AttackEntry> kRegistry("attack", kEntries);
  return kRegistry;
}

}  // namespace gauntlet::attacks
