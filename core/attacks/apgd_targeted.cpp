// Auto-PGD on codes toward a target: the targeted gradient members of the fixed ensemble for hashing.
#include "core/attacks/detail/apgd_attack.hpp"

namespace gauntlet::attacks {
namespace {

constexpr std::string_view kName = "apgd_targeted";

struct TargetedConfig : ApgdConfig {
  std::string targets = "distinct";
  std::int64_t target_min_items = 10;

  TargetedConfig() { objective = "class"; }
  static void fields(auto& self, auto& visit) {
    visit(
        "objective", self.objective,
        {.doc = "class: toward the mainstay code of the target's labels. vote: toward DHTA's anchor; inputs "
                "whose target no training item has exactly stay clean. search: toward the best code a bit "
                "search finds. ladv: off the nearest items that do not match the target.",
         .choices = {"class", "vote", "search", "ladv"}});
    visit("voters", self.voters,
          {.doc = "Training items of the target's labels that vote on the code; 9 is DHTA.",
           .min = 1,
           .max = 10000});
    visit("tau", self.tau, {.doc = "Temperature of objective ladv.", .min = 1e-3, .max = 100});
    visit("targets", self.targets,
          {.doc = "How target label vectors are drawn; see dhta.",
           .choices = {"frequent", "uniform", "distinct", "disjoint"}});
    visit("target_min_items", self.target_min_items,
          {.doc = "Training items with a frequent target's labels.", .min = 1});
    ApgdConfig::fields(self, visit);
  }
};

Result<std::unique_ptr<Attack>> make(const Json& config, AttackSurface surface, std::uint64_t seed) {
  GAUNTLET_TRY(const TargetedConfig read, read_config<TargetedConfig>(config, kName));
  return make_apgd(read, std::move(surface), seed, /*targeted=*/true);
}

}  // namespace

extern const AttackEntry apgd_targeted_entry;
constinit const AttackEntry apgd_targeted_entry{
    .about = {.name = kName,
              .version = 1,
              .summary = "Auto-PGD on codes toward the items of a target",
              .reference = "Croce and Hein, ICML 2020; objectives of THA, DHTA and DRFGD",
              .capabilities = {.targeted = true, .adaptive = true},
              .fields = &describe_fields<TargetedConfig>},
    .make = &make,
};

}  // namespace gauntlet::attacks
