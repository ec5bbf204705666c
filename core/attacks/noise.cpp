// Random signs of the size of the budget: what an attack has to beat.
#include "core/attacks/attack.hpp"
#include "core/attacks/detail/pixel_grid.hpp"
#include "core/attacks/detail/scheduled_descent.hpp"
#include "core/base/random.hpp"

namespace gauntlet::attacks {
namespace {

constexpr std::string_view kName = "noise";
constexpr std::uint64_t kNoiseTag = 0x4e4f4953;  // "NOIS"

struct NoiseConfig {
  std::int64_t draw = 1;
  double epsilon_image = 8.0 / 255.0;
  double epsilon_text = 0.05;
  std::string rounding = "none";

  static void fields(auto& self, auto& visit) {
    visit("draw", self.draw,
          {.doc = "Number of the draw, from 1; every draw is a craft of its own.", .min = 1, .max = 100000});
    visit("epsilon_image", self.epsilon_image,
          {.doc = "Size of the noise of a picture in [0,1] units.", .min = 0, .max = 1});
    visit("epsilon_text", self.epsilon_text, {.doc = "Size of the noise of a text.", .min = 0, .max = 1});
    visit("rounding", self.rounding,
          {.doc = "u8: inputs on the grid of k/255, as they are saved.", .choices = {"none", "u8"}});
  }
};

class Noise final : public Attack {
 public:
  Noise(NoiseConfig config, const AttackSurface& surface, std::uint64_t seed)
      : config_(std::move(config)),
        ball_(ball_of(surface, config_.epsilon_image, config_.epsilon_text)),
        seed_(purpose_seed(seed, "", fmt::format("draw/{}", config_.draw))) {}

  torch::Tensor perturb(const AttackBatch& batch) override {
    const torch::Tensor clean = batch.inputs.detach();
    torch::Tensor signs = torch::empty(clean.sizes(), torch::kFloat32);
    const std::int64_t n_values = clean.size(0) == 0 ? 0 : clean.numel() / clean.size(0);
    auto* out = signs.mutable_data_ptr<float>();
    for (const std::int64_t row : batch.rows) {
      RandomStream stream = RandomStream::of(seed_, kNoiseTag, static_cast<std::uint64_t>(row));
      for (std::int64_t value = 0; value < n_values; ++value) *out++ = stream.below(2) == 0 ? -1.0F : 1.0F;
    }
    const torch::Tensor delta = ball_.epsilon * signs.to(clean.scalar_type());
    if (config_.rounding == "u8") return on_pixel_grid(clean + delta, clean, ball_);
    return applied_within(clean, delta, ball_);
  }

 private:
  NoiseConfig config_;
  Ball ball_;
  std::uint64_t seed_;
};

Result<std::unique_ptr<Attack>> make(const Json& config, AttackSurface surface, std::uint64_t seed) {
  GAUNTLET_TRY(NoiseConfig read, read_config<NoiseConfig>(config, kName));
  return std::make_unique<Noise>(std::move(read), surface, seed);
}

}  // namespace

extern const AttackEntry noise_entry;
constinit const AttackEntry noise_entry{
    .about = {.name = kName,
              .version = 1,
              .summary = "Control: random signs of the size of the budget",
              .reference = "",
              .capabilities = {.adaptive = true},
              .fields = &describe_fields<NoiseConfig>},
    .make = &make,
};

}  // namespace gauntlet::attacks
