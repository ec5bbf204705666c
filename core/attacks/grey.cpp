// A picture of one colour in place of every query: what anyone reaches with a budget of half the range.
#include "core/attacks/attack.hpp"

namespace gauntlet::attacks {
namespace {

constexpr std::string_view kName = "grey";

struct GreyConfig {
  double level = 0.5;  // with it, a budget of 0.5 takes any picture there

  static void fields(auto& self, auto& visit) {
    visit("level", self.level,
          {.doc = "Value of every pixel and channel, of the range 0 to 1.", .min = 0, .max = 1});
  }
};

class Grey final : public Attack {
 public:
  explicit Grey(const GreyConfig& config) : config_(config) {}

  torch::Tensor perturb(const AttackBatch& batch) override {
    return torch::full_like(batch.inputs.detach(), config_.level);
  }

 private:
  GreyConfig config_;
};

Result<std::unique_ptr<Attack>> make(const Json& config, AttackSurface surface, std::uint64_t /*seed*/) {
  GAUNTLET_TRY(const GreyConfig read, read_config<GreyConfig>(config, kName));
  if (surface.modality != Modality::kImage)
    return fail(ErrorCode::kInvalid, "grey: texts have no colour; allowed: pictures (direction i2t)");
  return std::make_unique<Grey>(read);
}

}  // namespace

extern const AttackEntry grey_entry;
constinit const AttackEntry grey_entry{
    .about = {.name = kName,
              .version = 1,
              .summary =
                  "Control: every picture becomes one colour; a worst case with half the range or more "
                  "cannot stay above it",
              .reference = "",
              .capabilities = {.text = false},
              .fields = &describe_fields<GreyConfig>},
    .make = &make,
};

}  // namespace gauntlet::attacks
