// Search without gradients for an input whose code or outputs are those of a target.
#include "core/attacks/detail/square_attack.hpp"

namespace gauntlet::attacks {
namespace {

constexpr std::string_view kName = "square_targeted";

struct TargetedConfig : SquareConfig {
  std::string targets = "distinct";
  std::int64_t target_min_items = 10;

  static void fields(auto& self, auto& visit) {
    visit(
        "feedback", self.feedback,
        {.doc =
             "What a query answers. code: bits, and how many agree with the mainstay code of the "
             "target's labels. soft: outputs before their sign. rank: the first 50 items of its list alone, "
             "and what they have in common with the list of a training item of the target's labels.",
         .choices = {"code", "soft", "rank"}});
    visit("targets", self.targets,
          {.doc = "How target label vectors are drawn; see dhta.",
           .choices = {"frequent", "uniform", "distinct", "disjoint"}});
    visit("target_min_items", self.target_min_items,
          {.doc = "Training items with a frequent target's labels.", .min = 1});
    SquareConfig::fields(self, visit);
  }
};

Result<std::unique_ptr<Attack>> make(const Json& config, AttackSurface surface, std::uint64_t seed) {
  GAUNTLET_TRY(const TargetedConfig read, read_config<TargetedConfig>(config, kName));
  return make_square(read, std::move(surface), seed, /*targeted=*/true);
}

}  // namespace

extern const AttackEntry square_targeted_entry;
constinit const AttackEntry square_targeted_entry{
    .about =
        {.name = kName,
         .version = 1,
         .summary =
             "Random search by squares toward the code or the ranked list of a target, without gradients",
         .reference = "Square Attack, Andriushchenko et al., ECCV 2020; acceptance rule ours",
         .capabilities = {.targeted = true, .adaptive = true},
         .fields = &describe_fields<TargetedConfig>},
    .make = &make,
};

}  // namespace gauntlet::attacks
