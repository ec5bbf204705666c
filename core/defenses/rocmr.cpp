// RoCMR, robust cross-modal retrieval by contrastive learning on clean and adversarial pairs (IJCNN 2022). No
// code and no full text are public: losses and temperature are a reconstruction from the abstract and from
// what later papers say of it.
#include "core/defenses/detail/robust_losses.hpp"
#include "core/defenses/detail/robust_pipeline.hpp"
#include "core/defenses/detail/robust_training.hpp"
#include "core/models/losses.hpp"

namespace gauntlet::defenses {
namespace {

using torch::Tensor;

constexpr std::string_view kName = "rocmr";

struct RocmrConfig {
  RobustConfig robust;
  double con_temp = 0.1;
  std::string con_pos = "label";
  double con_mu = 1e-3;

  static void fields(auto& self, auto& visit) {
    RobustConfig::fields(self.robust, visit);
    RobustConfig::iterations(self.robust, visit);
    visit("con_temp", self.con_temp,
          {.doc = "Temperature of the contrastive loss; not published, 0.1 is usual where a pair has few "
                  "positives. Picto has 1: there a third of all pairs share a label, sharing is not "
                  "transitive, and a low temperature sees only the hardest of them; clean queries then fall "
                  "to little above chance.",
           .min = 1e-3,
           .max = 100});
    visit("con_pos", self.con_pos,
          {.doc = "Positives of a pair: all of the batch that share a label (label), because the pair alone "
                  "(instance, the "
                  "usual setting of paired data) would push items of one class apart.",
           .choices = {"label", "instance"}});
    visit("con_mu", self.con_mu,
          {.doc = "Weight of the quantisation of all four outputs.", .min = 0, .max = 1e6});
  }
};

class RocmrMethod final : public RobustMethod {
 public:
  explicit RocmrMethod(const RocmrConfig& config) : config_(config) {}

  [[nodiscard]] bool by_turns() const override { return false; }

  Result<LossTerms> losses(RobustTraining& training, const RobustBatch& batch,
                           Modality /*modality*/) override {
    const Tensor positives = positives_of(batch.labels);
    const auto con = [&](const Tensor& u, const Tensor& v) {
      return symmetric_contrastive(u, v, positives, config_.con_temp);
    };
    const auto adversarial = [&](Modality modality) {
      const Modality fixed = other(modality);
      const Tensor theirs =
          training.ranks().gather_rows(training.codes_without_gradient(fixed, batch.inputs(fixed)));
      return training.perturbed(modality, batch, {.n_steps = config_.robust.pgd_iters}, [&](const Tensor& u) {
        return -con(training.ranks().gather_rows(u), theirs);
      });
    };
    const Tensor image_adversarial = adversarial(Modality::kImage),
                 text_adversarial = adversarial(Modality::kText);

    const std::vector<Tensor> image =
        training.encoded(Modality::kImage, {batch.own.images, image_adversarial});
    const std::vector<Tensor> text = training.encoded(Modality::kText, {batch.own.text, text_adversarial});
    training.remember(Modality::kImage, batch, image[0]);
    training.remember(Modality::kText, batch, text[0]);
    LossTerms terms;
    GAUNTLET_TRY(terms["benign"], training.benign(batch, {image[0], text[0]}));
    terms["contrastive"] =
        (con(image[0], text[0]) + con(image[1], text[0]) + con(image[0], text[1]) + con(image[1], text[1])) /
        4;
    terms["quantisation"] =
        quantisation(image[0]) + quantisation(image[1]) + quantisation(text[0]) + quantisation(text[1]);
    terms["total"] = terms["contrastive"] + terms["benign"] + config_.con_mu * terms["quantisation"];
    return terms;
  }

 private:
  [[nodiscard]] Tensor positives_of(const Tensor& labels) const {
    if (config_.con_pos == "label") return models::relevance_mask(labels, labels);
    return torch::eye(labels.size(0), labels.options()).gt(0);
  }

  RocmrConfig config_;
};

Result<std::unique_ptr<Pipeline>> make(const Json& config, PipelineParts parts) {
  GAUNTLET_CHECK_OK(read_config<RocmrConfig>(config, kName));
  return make_robust_pipeline(parts, kName);
}

Result<TrainedDefense> train(const Json& json, DefenseTraining setup) {
  GAUNTLET_TRY(const RocmrConfig config, read_config<RocmrConfig>(json, kName));
  GAUNTLET_TRY(const auto training, RobustTraining::open(kName, config.robust, setup));
  RocmrMethod method(config);
  return train_robust(*training, method, kName, config.robust);
}

// One pass over all scenes does better than four over 1,000 of them, at the same cost. The single emoji are
// 1,000 in all.
constexpr std::string_view kDatasetDefaults = R"({
  "picto": {"epsilon_image": "8/255", "at_epochs": 4, "batch_size": 64, "pgd_iters": 5, "at_lr": 0.001,
            "at_lr_backbone": 0.001, "con_temp": 1},
  "picto_scenes": {"epsilon_image": "8/255", "at_epochs": 1, "batch_size": 64, "pgd_iters": 5, "at_lr": 0.001,
                   "at_lr_backbone": 0.001, "con_temp": 1}
})";

}  // namespace

extern const DefenseEntry rocmr_entry;
constinit const DefenseEntry rocmr_entry{
    .about =
        {.name = kName,
         .version = 2,
         .summary =
             "Contrastive training on clean and adversarial pairs of both modalities (a reconstruction).",
         .reference = "RoCMR, IJCNN 2022 (abstract only)",
         .capabilities = {.trains = true, .joint = true, .replaces_model = true},
         .fields = &describe_fields<RocmrConfig>,
         .dataset_defaults = kDatasetDefaults},
    .make = &make,
    .train = &train,
    .declaration =
        {.trained_on =
             "signed steps up the contrastive loss within epsilon_image and epsilon_text, both sides"},
};

}  // namespace gauntlet::defenses
