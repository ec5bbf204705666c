// SAAT, semantic-aware adversarial training: Yuan et al., IEEE TIFS 2023, in the order and with the terms of
// its cross-modal release: examples lead away from the mainstay code of their labels, and the copy learns to
// keep that code.
#include "core/attacks/mainstay_code.hpp"
#include "core/defenses/detail/robust_losses.hpp"
#include "core/defenses/detail/robust_pipeline.hpp"
#include "core/defenses/detail/robust_training.hpp"

namespace gauntlet::defenses {
namespace {

using attacks::Agreement;
using torch::Tensor;

constexpr std::string_view kName = "saat";

struct SaatConfig {
  RobustConfig robust{.at_optimiser = "sgd", .at_lr = 0.03, .at_lr_backbone = 0.003, .at_weight_decay = 1e-5};
  double saat_lambda = 1;
  double saat_mu = 1e-3;
  std::string saat_obj = "plain";

  static void fields(auto& self, auto& visit) {
    RobustConfig::fields(self.robust, visit);
    RobustConfig::iterations(self.robust, visit);
    visit("saat_lambda", self.saat_lambda,
          {.doc = "Weight of the agreement of adversarial codes with the mainstay code; 1 in the releases. "
                  "Picto has 0.3: its label vectors are many and overlap, so that one code for each costs "
                  "clean queries more.",
           .min = 0,
           .max = 1e6});
    visit(
        "saat_mu", self.saat_mu,
        {.doc =
             "Weight of the quantisation of adversarial codes; 1e-3 in the cross-modal release, 1e-4 before.",
         .min = 0,
         .max = 1e6});
    visit("saat_obj", self.saat_obj,
          {.doc = "Objective of the inner attack: plain, mean(u c); sharp, the release's s (s + 2) of bits "
                  "with s > -0.5, "
                  "here without its sharpened tanh, because targets give their codes after it.",
           .choices = {"plain", "sharp"}});
  }
};

class SaatMethod final : public RobustMethod {
 public:
  explicit SaatMethod(const SaatConfig& config)
      : config_(config), objective_(config.saat_obj == "sharp" ? Agreement::kSharp : Agreement::kPlain) {}

  Result<LossTerms> losses(RobustTraining& training, const RobustBatch& batch, Modality modality) override {
    const Tensor& clean = batch.inputs(modality);
    const Tensor mainstay =
        attacks::mainstay_code(batch.labels, training.train_labels(), training.buffer(other(modality)));
    const Tensor own_mainstay = batch.own_part(mainstay);
    const Tensor adversarial = training.perturbed(
        modality, batch, {.n_steps = config_.robust.pgd_iters},
        [&](const Tensor& u) { return attacks::agreement_terms(u, own_mainstay, objective_).sum(1); });

    const std::vector<Tensor> codes = training.encoded(modality, {clean, adversarial});
    training.remember(modality, batch, codes[0]);
    LossTerms terms;
    GAUNTLET_TRY(terms["benign"], training.benign(batch, {codes[0]}));
    terms["adversarial"] = -attacks::mean_agreement(codes[1], mainstay, Agreement::kPlain);
    terms["quantisation"] = quantisation(codes[1]);
    terms["total"] = terms["benign"] + config_.saat_lambda * terms["adversarial"] +
                     config_.saat_mu * terms["quantisation"];
    return terms;
  }

 private:
  SaatConfig config_;
  Agreement objective_;
};

Result<std::unique_ptr<Pipeline>> make(const Json& config, PipelineParts parts) {
  GAUNTLET_CHECK_OK(read_config<SaatConfig>(config, kName));
  return make_robust_pipeline(parts, kName);
}

Result<TrainedDefense> train(const Json& json, DefenseTraining setup) {
  GAUNTLET_TRY(const SaatConfig config, read_config<SaatConfig>(json, kName));
  GAUNTLET_TRY(const auto training, RobustTraining::open(kName, config.robust, setup));
  SaatMethod method(config);
  return train_robust(*training, method, kName, config.robust);
}

// One pass over all scenes does better than four over 1,000 of them, at the same cost. The single emoji are
// 1,000 in all.
constexpr std::string_view kDatasetDefaults = R"({
  "picto": {"epsilon_image": "8/255", "at_epochs": 4, "batch_size": 64, "pgd_iters": 5, "at_optimiser": "adam",
            "at_lr": 0.001, "at_lr_backbone": 0.001, "saat_lambda": 0.3},
  "picto_scenes": {"epsilon_image": "8/255", "at_epochs": 1, "batch_size": 64, "pgd_iters": 5, "at_optimiser": "adam",
                   "at_lr": 0.001, "at_lr_backbone": 0.001, "saat_lambda": 0.3}
})";

}  // namespace

extern const DefenseEntry saat_entry;
constinit const DefenseEntry saat_entry{
    .about = {.name = kName,
              .version = 2,
              .summary = "Adversarial training against attacks away from the mainstay code of the labels.",
              .reference = "SAAT, IEEE TIFS 2023; cross-modal release SAAT-Cross",
              .capabilities = {.trains = true, .joint = true, .replaces_model = true},
              .fields = &describe_fields<SaatConfig>,
              .dataset_defaults = kDatasetDefaults},
    .make = &make,
    .train = &train,
    .declaration =
        {.trained_on =
             "signed steps away from mainstay codes within epsilon_image and epsilon_text, both sides"},
};

}  // namespace gauntlet::defenses
