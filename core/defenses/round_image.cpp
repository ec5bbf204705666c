// Every value of a query picture rounded to a few bits: the control that undoes small perturbations of
// pixels.
#include <cstdint>

#include "core/base/check.hpp"
#include "core/defenses/detail/purifier.hpp"

namespace gauntlet::defenses {
namespace {

constexpr std::int64_t kNeighbours = 4;  // thresholds on either side; those beyond add less than float shows

struct RoundImageConfig {
  std::int64_t bits = 4;  // 16 levels: 8 grey levels are half a step
  static void fields(auto& self, auto& visit) {
    visit("bits", self.bits,
          {.doc = "Bits of a rounded value: 4 leaves 16 levels, 8 the grid that pictures are saved on.",
           .min = 1,
           .max = 8});
  }
};

class RoundImage final : public Purifier {
 public:
  RoundImage(std::shared_ptr<models::HashingModel> model, std::int64_t bits)
      : Purifier(std::move(model)), steps_(static_cast<double>((std::int64_t{1} << bits) - 1)) {}

  /// [B, 3, H, W] in [0,1] → multiples of 1/(2^bits - 1); halves become even ones. The gradient passes
  /// straight through, as a step has none.
  torch::Tensor purified(Modality modality, const torch::Tensor& input) override {
    GAUNTLET_CHECK(modality == Modality::kImage);
    const torch::Tensor rounded = (input.detach() * steps_).round() / steps_;
    if (!input.requires_grad()) return rounded;
    return straight_through(input, rounded, 0, 1);
  }

  /// Smooth: the derivative of Σ_i σ(κ(x - t_i))/(q - 1), t_i the thresholds between q levels, κ = 4q.
  torch::Tensor purified_through(Modality modality, const torch::Tensor& input, Backward backward) override {
    if (backward != Backward::kSmooth) return Purifier::purified_through(modality, input, backward);
    return straight_through(input * slope(input.detach()), purified(modality, input.detach()));
  }

 private:
  /// [B, 3, H, W]: of the sum of sigmoids at each value, from the thresholds near it.
  [[nodiscard]] torch::Tensor slope(const torch::Tensor& values) const {
    const double steepness = 4 * (steps_ + 1);
    const torch::Tensor nearest = (values * steps_).floor().clamp(0, steps_ - 1);
    torch::Tensor sum = torch::zeros_like(values);
    for (std::int64_t offset = -kNeighbours; offset <= kNeighbours; ++offset) {
      const torch::Tensor index = nearest + static_cast<double>(offset);
      const torch::Tensor is_one = index.ge(0).logical_and(index.lt(steps_));
      const torch::Tensor sigmoid = torch::sigmoid(steepness * (values - (index + 0.5) / steps_));
      sum += is_one * steepness * sigmoid * (1 - sigmoid) / steps_;
    }
    return sum;
  }

  double steps_;  ///< between the levels
};

Result<std::unique_ptr<Pipeline>> make(const Json& config, PipelineParts parts) {
  GAUNTLET_TRY(const auto settings, read_config<RoundImageConfig>(config, "round_image"));
  GAUNTLET_CHECK_OK(require_modality("round_image", Modality::kImage, parts.modality));
  GAUNTLET_CHECK_OK(require_pictures("round_image", parts.shape));
  return std::make_unique<RoundImage>(std::move(parts.model), settings.bits);
}

constexpr Stage kStages[] = {{.name = "round_image",
                              .gradient = StageGradient::kSurrogate,
                              .surrogate = "identity inside the range, 0 outside",
                              .input_range = "[0, 1]",
                              .output_range = "{0, 1/(2^bits - 1), ..., 1}"}};

}  // namespace

extern const DefenseEntry round_image_entry;
constinit const DefenseEntry round_image_entry{
    .about = {.name = "round_image",
              .version = 1,
              .summary = "Control: every value of a query picture rounded to a few bits.",
              .reference = "",
              .capabilities = {.image = true, .text = false},
              .fields = &describe_fields<RoundImageConfig>},
    .make = &make,
    .train = nullptr,
    .declaration = {.stages = kStages},
};

}  // namespace gauntlet::defenses
