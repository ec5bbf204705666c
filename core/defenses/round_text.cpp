// Every value of a text query rounded to 0 or 1: the control that undoes small perturbations of 0/1 word
// vectors.
#include "core/base/check.hpp"
#include "core/defenses/detail/purifier.hpp"

namespace gauntlet::defenses {
namespace {

struct RoundTextConfig {
  static void fields(auto&, auto&) {}
};

class RoundText final : public Purifier {
 public:
  using Purifier::Purifier;

  /// [B, D] → [B, D] of 0 and 1; 0.5 becomes 0. The gradient passes straight through, as a step has none.
  torch::Tensor purified(Modality modality, const torch::Tensor& input) override {
    GAUNTLET_CHECK(modality == Modality::kText);
    const auto rounded = (input.detach() > 0.5).to(input.scalar_type());
    if (!input.requires_grad()) return rounded;
    return rounded + (input - input.detach());  // the bracket is exactly 0: values stay 0 and 1
  }
};

Result<std::unique_ptr<Pipeline>> make(const Json& config, PipelineParts parts) {
  GAUNTLET_CHECK_OK(read_config<RoundTextConfig>(config, "round_text"));
  GAUNTLET_CHECK_OK(require_modality("round_text", Modality::kText, parts.modality));
  return std::make_unique<RoundText>(std::move(parts.model));
}

}  // namespace

extern const DefenseEntry round_text_entry;
constinit const DefenseEntry round_text_entry{
    .about = {.name = "round_text",
              .version = 1,
              .summary = "Control: every value of a text query rounded to 0 or 1.",
              .reference = "",
              .capabilities = {.image = false, .text = true},
              .fields = &describe_fields<RoundTextConfig>},
    .make = &make,
    .train = nullptr,
};

}  // namespace gauntlet::defenses
