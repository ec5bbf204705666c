// A mean filter over every query picture: the control that any learned purifier has to beat.
#include "core/base/check.hpp"
#include "core/defenses/detail/purifier.hpp"

namespace gauntlet::defenses {
namespace {

struct BoxBlurConfig {
  std::int64_t radius = 1;
  static void fields(auto& self, auto& visit) {
    visit("radius", self.radius,
          {.doc = "Half width of the box in pixels; 1 is a 3 x 3 box, the least that blurs.",
           .min = 1,
           .max = 16});
  }
};

class BoxBlur final : public Purifier {
 public:
  BoxBlur(std::shared_ptr<models::HashingModel> model, std::int64_t radius)
      : Purifier(std::move(model)), radius_(radius) {}

  /// [B, 3, H, W] in [0,1] → the same: mean of the (2r+1)² box around each pixel, edge pixels replicated
  /// outwards.
  torch::Tensor purified(Modality modality, const torch::Tensor& input) override {
    GAUNTLET_CHECK(modality == Modality::kImage);
    const auto padded = torch::replication_pad2d(input, {radius_, radius_, radius_, radius_});
    const std::int64_t side = 2 * radius_ + 1;
    return torch::avg_pool2d(padded, {side, side}, /*stride=*/{1, 1});
  }

 private:
  std::int64_t radius_;
};

Result<std::unique_ptr<Pipeline>> make(const Json& config, PipelineParts parts) {
  GAUNTLET_TRY(const auto settings, read_config<BoxBlurConfig>(config, "box_blur"));
  GAUNTLET_CHECK_OK(require_modality("box_blur", Modality::kImage, parts.modality));
  GAUNTLET_CHECK_OK(require_pictures("box_blur", parts.shape));
  return std::make_unique<BoxBlur>(std::move(parts.model), settings.radius);
}

constexpr Stage kStages[] = {{.name = "box_blur", .input_range = "[0, 1]", .output_range = "[0, 1]"}};

}  // namespace

extern const DefenseEntry box_blur_entry;
constinit const DefenseEntry box_blur_entry{
    .about = {.name = "box_blur",
              .version = 1,
              .summary = "Control: a mean filter over every query picture.",
              .reference = "",
              .capabilities = {.image = true, .text = false},
              .fields = &describe_fields<BoxBlurConfig>},
    .make = &make,
    .train = nullptr,
    .declaration = {.stages = kStages},
};

}  // namespace gauntlet::defenses
