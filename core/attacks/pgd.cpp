// Projected gradient descent on the attack loss of DRFGD (AAAI 2026), Eqs. 1 and 2.
#include "core/attacks/attack.hpp"
#include "core/attacks/detail/projection.hpp"
#include "core/models/losses.hpp"

namespace gauntlet::attacks {
namespace {

constexpr std::string_view kName = "pgd";
constexpr double kStepOfEpsilon = 3.0 / 8.0;

struct PgdConfig {
  std::int64_t steps = 20;
  double epsilon_image = 4.0 / 255.0;
  double step_image = 0;
  double epsilon_text = 0.05;
  double step_text = 0.006;
  double tau = 0.05;

  static void fields(auto& self, auto& visit) {
    visit("steps", self.steps, {.doc = "Gradient steps.", .min = 1, .max = 100000});
    visit("epsilon_image", self.epsilon_image,
          {.doc = "L-infinity budget of a picture in [0,1] units; 4/255 is what the authors' code does (4 "
                  "grey levels), "
                  "8/255 the paper's number read literally.",
           .min = 0,
           .max = 1});
    visit("step_image", self.step_image,
          {.doc = "Step of a picture in [0,1] units; 0 means 3/8 of epsilon_image.", .min = 0, .max = 1});
    visit("epsilon_text", self.epsilon_text,
          {.doc = "L-infinity budget of a text vector.", .min = 0, .max = 1});
    visit("step_text", self.step_text, {.doc = "Step of a text vector.", .min = 0, .max = 1});
    visit("tau", self.tau, {.doc = "Temperature of the attack loss.", .min = 1e-3, .max = 100});
  }
};

class Pgd final : public Attack {
 public:
  Pgd(const PgdConfig& config, AttackSurface surface, std::uint64_t seed)
      : config_(config), surface_(std::move(surface)), seed_(seed) {
    const bool image = surface_.modality == Modality::kImage;
    descent_.ball = {image ? config_.epsilon_image : config_.epsilon_text, surface_.input_low,
                     surface_.input_high};
    descent_.n_steps = config_.steps;
    descent_.step = config_.step_text;
    if (image)
      descent_.step = config_.step_image > 0 ? config_.step_image : kStepOfEpsilon * config_.epsilon_image;
    code_sum_ = surface_.train_codes_image + surface_.train_codes_text;
  }

  torch::Tensor perturb(const AttackBatch& batch) override {
    const torch::Tensor clean = batch.inputs.detach();
    const torch::Tensor relevant = models::relevance_mask(batch.labels, surface_.train_labels);
    const models::RepelAttract objective(code_sum_.to(clean.scalar_type()),
                                         /*attract=*/relevant.logical_not(),
                                         /*repel=*/relevant, config_.tau);
    // The loss is log(1 + e^a). Its gradient has the sign of that of a, which does not vanish where a is far
    // below 0.
    const auto loss = [&](const torch::Tensor& input) { return objective.logsumexp(surface_.encode(input)); };
    const torch::Tensor start = random_start(clean, batch.rows, seed_, descent_.ball);
    const torch::Tensor delta = descend(clean, start, loss, descent_);
    // Without relevant or without irrelevant items there is nothing to gain: such inputs stay clean.
    std::vector<std::int64_t> per_input(static_cast<std::size_t>(clean.dim()), 1);
    per_input.front() = clean.size(0);
    return torch::where(objective.complete().view(per_input), applied_within(clean, delta, descent_.ball),
                        clean);
  }

 private:
  PgdConfig config_;
  AttackSurface surface_;
  std::uint64_t seed_;
  SignDescent descent_;
  torch::Tensor code_sum_;  // [N, K]
};

Result<std::unique_ptr<Attack>> make(const Json& config, AttackSurface surface, std::uint64_t seed) {
  GAUNTLET_TRY(const PgdConfig read, read_config<PgdConfig>(config, kName));
  return std::make_unique<Pgd>(read, std::move(surface), seed);
}

}  // namespace

extern const AttackEntry pgd_entry;
constinit const AttackEntry pgd_entry{
    .about = {.name = kName,
              .version = 2,
              .summary = "Projected gradient descent that trades relevant items for irrelevant ones",
              .reference = "DRFGD, AAAI 2026, Eqs. 1 and 2",
              .capabilities = {.adaptive = true},
              .fields = &describe_fields<PgdConfig>},
    .make = &make,
};

}  // namespace gauntlet::attacks
