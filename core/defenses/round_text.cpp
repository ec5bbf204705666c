// Every value of a text query rounded to 0 or 1: the control that undoes small perturbations of 0/1 word
// vectors.
#include "core/base/check.hpp"
#include "core/defenses/detail/purifier.hpp"

namespace gauntlet::defenses {
namespace {

struct RoundTextConfig {
  static void fields(auto&, auto&) {}
};

constexpr double kThreshold = 0.5;
constexpr double kSteepness = 8;  // 4 times the number of levels

class RoundText final : public Purifier {
 public:
  RoundText(std::shared_ptr<models::HashingModel> model, double low)
      : Purifier(std::move(model)), low_(low) {}

  /// [B, D] → [B, D] of 0 and 1; 0.5 becomes 0. The gradient passes straight through, as a step has none.
  torch::Tensor purified(Modality modality, const torch::Tensor& input) override {
    GAUNTLET_CHECK(modality == Modality::kText);
    const auto rounded = (input.detach() > kThreshold).to(input.scalar_type());
    if (!input.requires_grad()) return rounded;
    return straight_through(input, rounded, low_, 1);
  }

  torch::Tensor purified_through(Modality modality, const torch::Tensor& input, Backward backward) override {
    if (backward != Backward::kSmooth) return Purifier::purified_through(modality, input, backward);
    return straight_through(torch::sigmoid(kSteepness * (input - kThreshold)),
                            purified(modality, input.detach()));
  }

 private:
  double low_;
};

Result<std::unique_ptr<Pipeline>> make(const Json& config, PipelineParts parts) {
  GAUNTLET_CHECK_OK(read_config<RoundTextConfig>(config, "round_text"));
  GAUNTLET_CHECK_OK(require_modality("round_text", Modality::kText, parts.modality));
  return std::make_unique<RoundText>(std::move(parts.model), parts.text_low);
}

constexpr Stage kStages[] = {{.name = "round_text",
                              .gradient = StageGradient::kSurrogate,
                              .surrogate = "identity inside the range, 0 outside",
                              .input_range = "[0, 1]; features [-1, 1]",
                              .output_range = "{0, 1}"}};

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
    .declaration = {.stages = kStages},
};

}  // namespace gauntlet::defenses
