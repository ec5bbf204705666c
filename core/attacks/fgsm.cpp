// The fast gradient sign method (Goodfellow et al. 2015): one signed step of the whole budget from the clean
// input.
#include "core/attacks/detail/code_losses.hpp"
#include "core/attacks/detail/scheduled_descent.hpp"
#include "core/models/losses.hpp"

namespace gauntlet::attacks {
namespace {

constexpr std::string_view kName = "fgsm";

struct FgsmConfig {
  std::string loss = "relevance";
  double epsilon_image = 8.0 / 255.0;
  double epsilon_text = 0.05;
  double tau = 0.05;

  static void fields(auto& self, auto& visit) {
    visit(
        "loss", self.loss,
        {.doc = "relevance: the attack loss of pgd (DRFGD, Eq. 1), the default, so that fgsm is its one-step "
                "form; code: mean(h c), c the sign code of the clean input, which needs no labels.",
         .choices = {"relevance", "code"}});
    visit("epsilon_image", self.epsilon_image,
          {.doc = "L-infinity budget of a picture in [0,1] units.", .min = 0, .max = 1});
    visit("epsilon_text", self.epsilon_text,
          {.doc = "L-infinity budget of a text vector; 0.05 as pgd's.", .min = 0, .max = 1});
    visit("tau", self.tau, {.doc = "Temperature of loss relevance.", .min = 1e-3, .max = 100});
  }
};

class Fgsm final : public Attack {
 public:
  Fgsm(FgsmConfig config, AttackSurface surface)
      : config_(std::move(config)),
        surface_(std::move(surface)),
        ball_(ball_of(surface_, config_.epsilon_image, config_.epsilon_text)) {}

  torch::Tensor perturb(const AttackBatch& batch) override {
    const torch::Tensor clean = batch.inputs.detach();
    const auto loss = config_.loss == "code" ? code_loss(clean) : relevance_loss(batch);
    const auto at_clean = [&](const torch::Tensor& inputs, std::int64_t) {
      return loss(surface_.encode(inputs));
    };
    return descend_scheduled(clean, /*n_steps=*/1, ball_, at_clean, signed_steps(ball_.epsilon));
  }

 private:
  using CodeLoss = std::function<torch::Tensor(const torch::Tensor& codes)>;

  /// The logarithm of the loss's exponential part: same sign of the gradient, no underflow. An input without
  /// relevant or without irrelevant training items has gradient 0, so it stays clean.
  [[nodiscard]] CodeLoss relevance_loss(const AttackBatch& batch) const {
    const torch::Tensor relevant = models::relevance_mask(batch.labels, surface_.train_labels);
    const torch::Tensor code_sum = surface_.train_codes_image + surface_.train_codes_text;
    const models::RepelAttract objective(code_sum.to(batch.inputs.scalar_type()), relevant.logical_not(),
                                         relevant, config_.tau);
    return [objective](const torch::Tensor& codes) { return objective.logsumexp(codes); };
  }

  [[nodiscard]] CodeLoss code_loss(const torch::Tensor& clean) const {
    const torch::NoGradGuard no_grad;
    const torch::Tensor own = surface_.encode(clean).gt(0).to(clean.scalar_type()) * 2 - 1;
    return [own](const torch::Tensor& codes) { return code_agreement(codes, own); };
  }

  FgsmConfig config_;
  AttackSurface surface_;
  Ball ball_;
};

Result<std::unique_ptr<Attack>> make(const Json& config, AttackSurface surface, std::uint64_t) {
  GAUNTLET_TRY(FgsmConfig read, read_config<FgsmConfig>(config, kName));
  return std::make_unique<Fgsm>(std::move(read), std::move(surface));
}

}  // namespace

extern const AttackEntry fgsm_entry;
constinit const AttackEntry fgsm_entry{
    .about = {.name = kName,
              .version = 2,
              .summary = "One signed gradient step of the whole budget",
              .reference = "Goodfellow, Shlens, Szegedy, ICLR 2015; loss of DRFGD, AAAI 2026, Eq. 1",
              .capabilities = {.adaptive = true},
              .fields = &describe_fields<FgsmConfig>},
    .make = &make,
};

}  // namespace gauntlet::attacks
