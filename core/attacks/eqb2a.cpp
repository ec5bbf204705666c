// EQB2A, efficient query-based black-box attack on cross-modal hashing: two knockoff networks learn to rank
// as the target does, a perturbation generator learns against them, and an image generator turns pictures
// into ones whose nearest texts are gone. Untargeted, pictures only, without a budget: only the
// reconstruction term bounds the perturbation. Networks and defaults follow tswang0116/EQB2A.
#include "core/attacks/detail/eqb2a_training.hpp"
#include "core/attacks/detail/in_precision.hpp"
#include "core/models/weights.hpp"

namespace gauntlet::attacks {
namespace {

constexpr std::string_view kName = "eqb2a";

class Eqb2a final : public Attack {
 public:
  Eqb2a(eqb2a::Generators generators, models::Precision precision)
      : generators_(std::move(generators)), precision_(precision) {}

  torch::Tensor perturb(const AttackBatch& batch) override {
    const torch::NoGradGuard no_grad;
    const torch::Tensor u = batch.inputs.contiguous(torch::MemoryFormat::ChannelsLast) * 2 - 1;
    const torch::Tensor made = in_precision(precision_, u, [this](const torch::Tensor& picture) {
      return generators_.image->forward(picture, generators_.perturbation->forward(picture));
    });
    return ((made + 1) * 0.5).clamp(0, 1).contiguous();
  }

 private:
  eqb2a::Generators generators_;  // eval mode
  models::Precision precision_;
};

Status check_modality(Modality modality) {
  if (modality == Modality::kImage) return {};
  return fail(ErrorCode::kInvalid,
              "{} perturbs pictures, and these queries are texts; allowed: direction i2t", kName);
}

Result<std::unique_ptr<Attack>> make(const Json& config, AttackSurface surface, std::uint64_t) {
  GAUNTLET_TRY(const auto read, read_config<eqb2a::Config>(config, kName));
  GAUNTLET_CHECK_OK(check_modality(surface.modality));
  GAUNTLET_TRY(eqb2a::Generators generators, eqb2a::make_generators(read, surface.shape));
  const auto load = [&](torch::nn::Module& network, std::string_view prefix) -> Status {
    const Weights weights = models::with_prefix(surface.weights, prefix);
    if (!weights.empty()) network.to(weights.begin()->second.scalar_type());
    GAUNTLET_CHECK_OK(models::restore(network, weights, kName));
    // A black-box attack that was trained elsewhere may know no labels here.
    if (surface.train_labels.defined()) network.to(surface.train_labels.device());
    network.eval();
    return {};
  };
  GAUNTLET_CHECK_OK(load(*generators.perturbation, "pg."));
  GAUNTLET_CHECK_OK(load(*generators.image, "ig."));
  return std::make_unique<Eqb2a>(std::move(generators), read.precision.value());
}

Result<TrainedAttack> train(const Json& config, AttackTraining setup) {
  GAUNTLET_TRY(const auto read, read_config<eqb2a::Config>(config, kName));
  GAUNTLET_CHECK_OK(check_modality(setup.surface.modality));
  return eqb2a::train(read, setup);
}

// Small pictures, a backbone that learns with the knockoff, small networks, few steps at a larger rate: about
// a minute on one CPU thread.
constexpr std::string_view kDatasetDefaults = R"({
  "picto": {"n_queries": 500, "backbone": "picto_cnn", "backbone_width": 12, "hidden": 128, "epochs_knockoff": 4,
            "lr_image": 0.001, "ps_fc1": 256, "ps_fc2": 128, "ps_fc3": 64, "epochs_perturbation": 2,
            "lr_perturbation": 0.001, "width": 12, "disc_width": 12, "epochs_generator": 12, "lr_generator": 0.001},
  "picto_scenes": {"n_queries": 500, "backbone": "picto_cnn", "backbone_width": 12, "hidden": 128, "epochs_knockoff": 4,
                   "lr_image": 0.001, "ps_fc1": 256, "ps_fc2": 128, "ps_fc3": 64, "epochs_perturbation": 2,
                   "lr_perturbation": 0.001, "width": 12, "disc_width": 12, "epochs_generator": 12,
                   "lr_generator": 0.001}
})";

}  // namespace

extern const AttackEntry eqb2a_entry;
constinit const AttackEntry eqb2a_entry{
    .about = {.name = kName,
              .version = 2,
              .summary = "Black box: learns from ranked lists to push pictures away from their nearest texts",
              .reference =
                  "EQB2A, settings of tswang0116/EQB2A; its ResNet-50 surrogate is replaced by `backbone`",
              .capabilities = {.image = true, .text = false, .trains = true, .black_box = true},
              .fields = &describe_fields<eqb2a::Config>,
              .dataset_defaults = kDatasetDefaults},
    .make = &make,
    .train = &train,
};

}  // namespace gauntlet::attacks
