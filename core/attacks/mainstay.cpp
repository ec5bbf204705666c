// The attack of SAAT and SAAT-Cross: signed descent away from the mainstay code of the query's labels.
#include "core/attacks/mainstay_code.hpp"

#include "core/attacks/attack.hpp"
#include "core/attacks/detail/projection.hpp"
#include "core/attacks/detail/sharpening.hpp"

namespace gauntlet::attacks {
namespace {

constexpr std::string_view kName = "mainstay";

struct MainstayConfig {
  std::int64_t steps = 100;
  double epsilon_image = 8.0 / 255.0;
  double step_image = 1.0 / 255.0;
  double epsilon_text = 0.01;
  double step_text = 1.0 / 255.0;
  std::string objective = "sharp";
  bool sharpening = true;

  static void fields(auto& self, auto& visit) {
    visit("steps", self.steps, {.doc = "Gradient steps; 100 as released.", .min = 1, .max = 100000});
    visit("epsilon_image", self.epsilon_image,
          {.doc = "L-infinity budget of a picture in [0,1] units; 8/255 as released.", .min = 0, .max = 1});
    visit("step_image", self.step_image,
          {.doc = "Step of a picture in [0,1] units; 1/255 as released.", .min = 0, .max = 1});
    visit("epsilon_text", self.epsilon_text,
          {.doc = "L-infinity budget of a text vector; 0.01 as released, where pgd has 0.05.",
           .min = 0,
           .max = 1});
    visit("step_text", self.step_text,
          {.doc = "Step of a text vector; 1/255 as released.", .min = 0, .max = 1});
    visit(
        "objective", self.objective,
        {.doc =
             "What is minimised of s = code x mainstay code: s (s + 2) of the bits with s > -0.5 (sharp, as "
             "released) or s (plain).",
         .choices = {"sharp", "plain"}});
    visit("sharpening", self.sharpening,
          {.doc = "Codes pass tanh(alpha z), alpha from 0.1 to 1 over the steps, as released; off: the codes "
                  "as the "
                  "pipeline gives them."});
  }
};

class Mainstay final : public Attack {
 public:
  Mainstay(const MainstayConfig& config, AttackSurface surface, std::uint64_t seed)
      : config_(config),
        surface_(std::move(surface)),
        seed_(seed),
        objective_(config.objective == "sharp" ? Agreement::kSharp : Agreement::kPlain) {
    const bool image = surface_.modality == Modality::kImage;
    descent_ = {.ball = {image ? config_.epsilon_image : config_.epsilon_text, surface_.input_low,
                         surface_.input_high},
                .step = image ? config_.step_image : config_.step_text,
                .n_steps = config_.steps};
  }

  torch::Tensor perturb(const AttackBatch& batch) override {
    const torch::Tensor clean = batch.inputs.detach();
    const bool image = surface_.modality == Modality::kImage;
    const torch::Tensor& codes = image ? surface_.train_codes_text : surface_.train_codes_image;
    const torch::Tensor mainstay =
        mainstay_code(batch.labels, surface_.train_labels, codes).to(clean.scalar_type());
    // A sum per input has the sign of the batch mean's gradient and does not depend on the rest of the batch.
    const auto loss = [&, step = std::int64_t{0}](const torch::Tensor& input) mutable {
      torch::Tensor u = surface_.encode(input);
      if (config_.sharpening) u = sharpened(u, sharpness(step, config_.steps));
      ++step;
      return agreement_terms(u, mainstay, objective_).sum(1);
    };
    const torch::Tensor start = random_start(clean, batch.rows, seed_, descent_.ball);
    return applied_within(clean, descend(clean, start, loss, descent_), descent_.ball);
  }

 private:
  MainstayConfig config_;
  AttackSurface surface_;
  std::uint64_t seed_;
  Agreement objective_;
  SignDescent descent_;
};

Result<std::unique_ptr<Attack>> make(const Json& config, AttackSurface surface, std::uint64_t seed) {
  GAUNTLET_TRY(const MainstayConfig read, read_config<MainstayConfig>(config, kName));
  return std::make_unique<Mainstay>(read, std::move(surface), seed);
}

}  // namespace

extern const AttackEntry mainstay_entry;
constinit const AttackEntry mainstay_entry{
    .about = {.name = kName,
              .version = 2,
              .summary = "Signed descent away from the mainstay code of the query's labels",
              .reference = "SAAT, IEEE TIFS 2023; cross-modal release SAAT-Cross",
              .capabilities = {.adaptive = true},
              .fields = &describe_fields<MainstayConfig>},
    .make = &make,
};

}  // namespace gauntlet::attacks
