// Search without gradients for an input whose code, outputs or ranked list is far from its own.
#include "core/attacks/detail/square_attack.hpp"

namespace gauntlet::attacks {
namespace {

constexpr std::string_view kName = "square";

struct UntargetedConfig : SquareConfig {
  static void fields(auto& self, auto& visit) {
    visit(
        "feedback", self.feedback,
        {.doc = "What a query answers. code: bits, and how many agree with the mainstay code of its labels. "
                "soft: outputs before their sign. rank: the first items of its list alone, and what they "
                "have in common with the clean list.",
         .choices = {"code", "soft", "rank"}});
    visit("list", self.list, {.doc = "Items of the list of feedback rank.", .min = 1, .max = 100000});
    SquareConfig::fields(self, visit);
  }
};

Result<std::unique_ptr<Attack>> make(const Json& config, AttackSurface surface, std::uint64_t seed) {
  GAUNTLET_TRY(const UntargetedConfig read, read_config<UntargetedConfig>(config, kName));
  return make_square(read, std::move(surface), seed, /*targeted=*/false);
}

}  // namespace

extern const AttackEntry square_entry;
constinit const AttackEntry square_entry{
    .about = {.name = kName,
              .version = 1,
              .summary = "Random search by squares on codes or ranked lists, without gradients",
              .reference = "Square Attack, Andriushchenko et al., ECCV 2020; acceptance rule ours",
              .capabilities = {.adaptive = true},
              .fields = &describe_fields<UntargetedConfig>},
    .make = &make,
};

}  // namespace gauntlet::attacks
