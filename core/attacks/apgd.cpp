// Auto-PGD on codes: the gradient members of the fixed ensemble for hashing, one objective and one start
// each.
#include "core/attacks/detail/apgd_attack.hpp"

namespace gauntlet::attacks {
namespace {

constexpr std::string_view kName = "apgd";

struct UntargetedConfig : ApgdConfig {
  UntargetedConfig() { objective = "mainstay"; }
  static void fields(auto& self, auto& visit) {
    visit(
        "objective", self.objective,
        {.doc = "mainstay: away from the mainstay code of the query's labels. floor: toward the worst code a "
                "bit search finds, bits weighted by what they cost. ladv: off the nearest relevant items "
                "(DRFGD Eq. 1, of the side that is retrieved). margin: off its own clean code, before tanh. "
                "anchor: toward the mainstay code of labels that share none.",
         .choices = {"mainstay", "floor", "ladv", "margin", "anchor"}});
    visit("anchor", self.anchor,
          {.doc = "Which code objective anchor goes to, of those of the 1,000 most frequent label vectors: "
                  "far<n>, the n-th worst for the query; near<n>, the n-th nearest to its clean code that "
                  "ranks no better than chance.",
           .choices = {"far1", "far2", "far3", "far4", "far5", "far6", "near1", "near2", "near3", "near4",
                       "near5", "near6"}});
    visit("tau", self.tau, {.doc = "Temperature of objective ladv.", .min = 1e-3, .max = 100});
    ApgdConfig::fields(self, visit);
  }
};

Result<std::unique_ptr<Attack>> make(const Json& config, AttackSurface surface, std::uint64_t seed) {
  GAUNTLET_TRY(const UntargetedConfig read, read_config<UntargetedConfig>(config, kName));
  return make_apgd(read, std::move(surface), seed, /*targeted=*/false);
}

}  // namespace

extern const AttackEntry apgd_entry;
constinit const AttackEntry apgd_entry{
    .about = {.name = kName,
              .version = 1,
              .summary =
                  "Auto-PGD on codes, with objectives for retrieval and selection by average precision",
              .reference = "Croce and Hein, ICML 2020; objectives of SAAT, HAG and DRFGD",
              .capabilities = {.adaptive = true},
              .fields = &describe_fields<UntargetedConfig>},
    .make = &make,
};

}  // namespace gauntlet::attacks
