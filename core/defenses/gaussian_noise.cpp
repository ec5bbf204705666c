// Gaussian noise on every query picture: the plainest defense that draws, which attacks have to average over.
#include <ATen/CPUGeneratorImpl.h>

#include "core/base/check.hpp"
#include "core/defenses/detail/purifier.hpp"

namespace gauntlet::defenses {
namespace {

struct GaussianNoiseConfig {
  double sigma = 8.0 / 255;  // as large as the usual budget
  static void fields(auto& self, auto& visit) {
    visit("sigma", self.sigma,
          {.doc = "Standard deviation of the noise on a value in [0, 1]; 8/255 is 8 grey levels.",
           .min = 0,
           .max = 1});
  }
};

class GaussianNoise final : public Purifier {
 public:
  GaussianNoise(std::shared_ptr<models::HashingModel> model, double sigma)
      : Purifier(std::move(model)), sigma_(sigma) {}

  /// [B, 3, H, W] in [0,1] → the same plus the draw's noise, clipped to the range; gradients are those of
  /// just that. All queries of a draw meet one noise picture, so that a code does not depend on which others
  /// are encoded with it, or in which order.
  torch::Tensor purified(Modality modality, const torch::Tensor& input) override {
    GAUNTLET_CHECK(modality == Modality::kImage);
    torch::Generator generator = at::detail::createCPUGenerator(draw_);
    const torch::Tensor noise =
        torch::randn(input.sizes().slice(1), generator, torch::TensorOptions().dtype(torch::kFloat32));
    return (input + sigma_ * noise.to(input.options().requires_grad(false))).clamp(0, 1);
  }

  void use_draw(std::uint64_t draw) override { draw_ = draw; }

 private:
  double sigma_;
  std::uint64_t draw_ = 0;
};

Result<std::unique_ptr<Pipeline>> make(const Json& config, PipelineParts parts) {
  GAUNTLET_TRY(const auto settings, read_config<GaussianNoiseConfig>(config, "gaussian_noise"));
  GAUNTLET_CHECK_OK(require_modality("gaussian_noise", Modality::kImage, parts.modality));
  GAUNTLET_CHECK_OK(require_pictures("gaussian_noise", parts.shape));
  return std::make_unique<GaussianNoise>(std::move(parts.model), settings.sigma);
}

constexpr Stage kStages[] = {
    {.name = "gaussian_noise",
     .input_range = "[0, 1]",
     .output_range = "[0, 1]",
     .random = StageRandomness::kPerBatch,
     .seeding = "one noise picture for all queries of a draw, from the draw's number"}};

}  // namespace

extern const DefenseEntry gaussian_noise_entry;
constinit const DefenseEntry gaussian_noise_entry{
    .about = {.name = "gaussian_noise",
              .version = 1,
              .summary = "Control: Gaussian noise on every query picture, drawn anew for each draw.",
              .reference = "",
              .capabilities = {.image = true, .text = false},
              .fields = &describe_fields<GaussianNoiseConfig>},
    .make = &make,
    .train = nullptr,
    .declaration = {.stages = kStages},
};

}  // namespace gauntlet::defenses
