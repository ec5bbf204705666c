// Hash adversary generation (Yang et al. 2018), in the form of SAAT's release: moves the code of an input
// away from its own clean code, bit by bit, with momentum.
#include "core/attacks/detail/code_losses.hpp"
#include "core/attacks/detail/scheduled_descent.hpp"
#include "core/attacks/detail/sharpening.hpp"

namespace gauntlet::attacks {
namespace {

constexpr std::string_view kName = "hag";

struct HagConfig {
  std::int64_t steps = 2000;
  double epsilon_image = 8.0 / 255.0;
  double epsilon_text = 0.05;
  double lr = 100;
  double momentum = 0.9;
  std::int64_t loss_batch = 1;
  double threshold = 0.5;
  double beta = 1;

  static void fields(auto& self, auto& visit) {
    visit("steps", self.steps, {.doc = "Gradient steps, 2000 as released.", .min = 1, .max = 100000});
    visit("epsilon_image", self.epsilon_image,
          {.doc = "L-infinity budget of a picture in [0,1] units.", .min = 0, .max = 1});
    visit("epsilon_text", self.epsilon_text,
          {.doc = "L-infinity budget of a text vector; the method is for pictures, 0.05 is pgd's.",
           .min = 0,
           .max = 1});
    visit("lr", self.lr, {.doc = "Step size of gradient descent with momentum.", .min = 0, .max = 1e9});
    visit("momentum", self.momentum, {.doc = "Decay of the gradient sum.", .min = 0, .max = 0.9999});
    visit(
        "loss_batch", self.loss_batch,
        {.doc = "The release steps along the mean loss of a batch, so lr is divided by the number of inputs. "
                "This is that number; 1, every input by itself, keeps results independent of the batch.",
         .min = 1,
         .max = 65536});
    visit("threshold", self.threshold,
          {.doc = "A bit counts while it is within 1 + threshold of its clean sign.", .min = 0, .max = 1});
    visit("beta", self.beta,
          {.doc = "Agreement with the clean code is driven to -beta.", .min = 0, .max = 1});
  }
};

class Hag final : public Attack {
 public:
  Hag(const HagConfig& config, AttackSurface surface)
      : config_(config),
        surface_(std::move(surface)),
        ball_(ball_of(surface_, config_.epsilon_image, config_.epsilon_text)) {}

  torch::Tensor perturb(const AttackBatch& batch) override {
    const torch::Tensor clean = batch.inputs.detach();
    const torch::Tensor clean_code = encode_without_gradient(clean);
    const auto loss = [&](const torch::Tensor& inputs, std::int64_t step) {
      const torch::Tensor code = sharpened(surface_.encode(inputs), sharpness(step, config_.steps));
      return hag_loss(code, clean_code, {config_.threshold, config_.beta});
    };
    const double step_size = config_.lr / static_cast<double>(config_.loss_batch);
    return descend_scheduled(clean, config_.steps, ball_, loss, momentum_steps(step_size, config_.momentum));
  }

 private:
  [[nodiscard]] torch::Tensor encode_without_gradient(const torch::Tensor& inputs) const {
    const torch::NoGradGuard no_grad;
    return surface_.encode(inputs);
  }

  HagConfig config_;
  AttackSurface surface_;
  Ball ball_;
};

Result<std::unique_ptr<Attack>> make(const Json& config, AttackSurface surface, std::uint64_t) {
  GAUNTLET_TRY(const HagConfig read, read_config<HagConfig>(config, kName));
  return std::make_unique<Hag>(read, std::move(surface));
}

}  // namespace

extern const AttackEntry hag_entry;
constinit const AttackEntry hag_entry{
    .about = {.name = kName,
              .version = 2,
              .summary = "Momentum descent that turns an input's own code into its opposite",
              .reference = "Yang et al., Adversarial Examples for Hamming Space Search, IEEE T-CYB 2018",
              .capabilities = {.adaptive = true},
              .fields = &describe_fields<HagConfig>,
              .dataset_defaults = R"({"picto": {"steps": 100}, "picto_scenes": {"steps": 100}})"},
    .make = &make,
};

}  // namespace gauntlet::attacks
