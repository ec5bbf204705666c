// THA: a network learns prototype codes of label vectors, and signed descent leads a query to its target's
// prototype.
#include <chrono>

#include "core/attacks/attack.hpp"
#include "core/attacks/detail/projection.hpp"
#include "core/attacks/mainstay_code.hpp"
#include "core/attacks/prototype_net.hpp"
#include "core/models/epochs.hpp"
#include "core/models/weights.hpp"

namespace gauntlet::attacks {
namespace {

constexpr std::string_view kName = "tha";

struct ThaConfig {
  std::int64_t hidden = 4096;
  std::int64_t middle = 512;
  std::int64_t epochs = 100;
  std::int64_t steps_per_epoch = 300;
  std::int64_t batch_size = 32;
  double lr = 1e-4;
  double beta1 = 0.5;
  std::string pairs = "all";
  bool softplus = false;
  std::string targets = "distinct";
  std::int64_t steps = 100;
  double epsilon_image = 8.0 / 255.0;
  double step_image = 1.0 / 255.0;
  double epsilon_text = 0.05;
  double step_text = 1.0 / 255.0;

  static void fields(auto& self, auto& visit) {
    visit("hidden", self.hidden,
          {.doc = "First hidden layer of the prototype network; 4096 as published.", .min = 1, .max = 65536});
    visit("middle", self.middle,
          {.doc = "Its second hidden layer; 512 as published.", .min = 1, .max = 65536});
    visit("epochs", self.epochs,
          {.doc = "Epochs of its training; 100 as released.", .min = 1, .max = 100000});
    visit("steps_per_epoch", self.steps_per_epoch,
          {.doc = "Batches of drawn label vectors per epoch; 300 as released.", .min = 1, .max = 1000000});
    visit("batch_size", self.batch_size,
          {.doc = "Label vectors per batch; 32 as released.", .min = 1, .max = 65536});
    visit("lr", self.lr, {.doc = "Learning rate (Adam); 1e-4 as released.", .min = 0, .max = 1});
    visit("beta1", self.beta1,
          {.doc = "Adam's first decay; 0.5 as in the defense of the same paper.", .min = 0, .max = 0.9999});
    visit("pairs", self.pairs,
          {.doc = "Pairs of prototype and training code in the loss: all, or those above the diagonal of "
                  "their table "
                  "as released, apparently by a slip.",
           .choices = {"all", "above_diagonal"}});
    visit("softplus", self.softplus,
          {.doc = "softplus around the loss, as a later release has it; off as the first release."});
    visit("targets", self.targets,
          {.doc = "How targets are drawn: distinct label vectors of the retrieval set (as released), any of "
                  "its items, "
                  "or items that share no label with the query.",
           .choices = {"distinct", "uniform", "disjoint"}});
    visit("steps", self.steps, {.doc = "Gradient steps; 100 as released.", .min = 1, .max = 100000});
    visit("epsilon_image", self.epsilon_image,
          {.doc = "L-infinity budget of a picture in [0,1] units; 8/255 as released.", .min = 0, .max = 1});
    visit("step_image", self.step_image,
          {.doc = "Step of a picture in [0,1] units; 1/255 as released.", .min = 0, .max = 1});
    visit("epsilon_text", self.epsilon_text,
          {.doc = "L-infinity budget of a text vector; the release has no texts, 0.05 as pgd.",
           .min = 0,
           .max = 1});
    visit("step_text", self.step_text,
          {.doc = "Step of a text vector; 1/255 as for pictures.", .min = 0, .max = 1});
  }
};

/// Training codes that a target's prototype is learned from: what a query of this modality is compared with.
const torch::Tensor& anchor_codes(const AttackSurface& surface) {
  return surface.modality == Modality::kImage ? surface.train_codes_text : surface.train_codes_image;
}

class Tha final : public Attack {
 public:
  Tha(const ThaConfig& config, AttackSurface surface, PrototypeNet net)
      : surface_(std::move(surface)), net_(std::move(net)) {
    const bool image = surface_.modality == Modality::kImage;
    descent_ = {
        .ball = {image ? config.epsilon_image : config.epsilon_text, surface_.input_low, surface_.input_high},
        .step = image ? config.step_image : config.step_text,
        .n_steps = config.steps};
  }

  torch::Tensor perturb(const AttackBatch& batch) override {
    const torch::Tensor clean = batch.inputs.detach();
    torch::Tensor prototype;
    {
      const torch::NoGradGuard no_grad;
      prototype = signs(net_(batch.target_labels)).to(clean.scalar_type());
    }
    const auto loss = [&](const torch::Tensor& input) {
      return -agreement_terms(surface_.encode(input), prototype, Agreement::kPlain).sum(1);
    };
    return applied_within(clean, descend(clean, torch::zeros_like(clean), loss, descent_), descent_.ball);
  }

 private:
  AttackSurface surface_;
  PrototypeNet net_;
  SignDescent descent_;
};

Result<std::unique_ptr<Attack>> make(const Json& config, AttackSurface surface, std::uint64_t /*seed*/) {
  GAUNTLET_TRY(const ThaConfig read, read_config<ThaConfig>(config, kName));
  PrototypeNet net(surface.train_labels.size(1), read.hidden, read.middle, surface.code_bits);
  GAUNTLET_CHECK_OK(models::restore(*net, surface.weights, kName));
  net->to(surface.train_labels.device());
  return std::make_unique<Tha>(read, std::move(surface), std::move(net));
}

// The network is small and its batches are drawn, not read: every rank takes the same steps.
Result<TrainedAttack> train(const Json& json, AttackTraining setup) {
  GAUNTLET_TRY(const ThaConfig config, read_config<ThaConfig>(json, kName));
  torch::manual_seed(setup.seed);
  const AttackSurface& surface = setup.surface;
  const torch::Tensor vectors = distinct_label_vectors(surface.train_labels);
  if (vectors.size(0) == 0) {
    return fail(ErrorCode::kInvalid,
                "tha: none of the {} training items has a label; allowed: at least one with labels",
                surface.train_labels.size(0));
  }
  PrototypeNet net(surface.train_labels.size(1), config.hidden, config.middle, surface.code_bits);
  net->to(surface.train_labels.device(), surface.train_labels.scalar_type());
  PrototypeLearner learner(net,
                           {.above_diagonal = config.pairs == "above_diagonal", .softplus = config.softplus},
                           config.lr, config.beta1);
  models::TrainingWatch watch({.name = "tha, prototype network",
                               .weights = [&] { return models::state_of(*learner.net()); },
                               .keep = setup.keep_weights,
                               .communicator = setup.communicator});
  TrainedAttack trained;
  const models::Stage stage{
      .n_epochs = config.epochs, .n_in_all = config.epochs, .state = [&](models::StateVisitor& visitor) {
        visitor.part("learner", learner);
        visitor.curves("curves", trained.curves);
      }};
  GAUNTLET_TRY(const std::int64_t n_done, models::resume(setup.checkpointer, stage, watch));
  for (std::int64_t epoch = n_done + 1; epoch <= config.epochs; ++epoch) {
    const auto start = std::chrono::steady_clock::now();
    models::EpochLosses sums;
    for (std::int64_t step = 0; step < config.steps_per_epoch; ++step) {
      const torch::Tensor targets = drawn_label_vectors(vectors, config.batch_size, setup.seed,
                                                        (epoch - 1) * config.steps_per_epoch + step);
      const PrototypeLoss loss = learner.step(targets, {anchor_codes(surface)}, surface.train_labels).loss;
      sums.add(
          {{"total", loss.total()}, {"similarity", loss.similarity}, {"quantisation", loss.quantisation}});
    }
    GAUNTLET_TRY(const models::Losses means,
                 watch.end_epoch(sums, {.epoch = epoch, .rates = {{"lr", config.lr}}}));
    models::add_to_curves(trained.curves, means);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    const auto n_seen = static_cast<double>(config.steps_per_epoch * config.batch_size);
    if (setup.on_epoch) setup.on_epoch(epoch, config.epochs, means, n_seen / elapsed.count());
    GAUNTLET_CHECK_OK(models::end_epoch(setup.checkpointer, stage, epoch));
  }
  trained.weights = models::weights_of(*learner.net());
  trained.n_parameters = models::n_parameters(*learner.net());
  return trained;
}

// A smaller network with a larger step: a few seconds on one CPU thread.
constexpr std::string_view kDatasetDefaults = R"({
  "picto": {"hidden": 512, "middle": 256, "epochs": 20, "steps_per_epoch": 50, "lr": 0.001, "steps": 40},
  "picto_scenes": {"hidden": 512, "middle": 256, "epochs": 20, "steps_per_epoch": 50, "lr": 0.001, "steps": 40}
})";

}  // namespace

extern const AttackEntry tha_entry;
constinit const AttackEntry tha_entry{
    .about = {.name = kName,
              .version = 2,
              .summary = "Signed descent to the learned prototype code of a target's labels",
              .reference = "Wang et al., Targeted Attack and Defense for Deep Hashing, SIGIR 2021",
              .capabilities = {.trains = true, .targeted = true, .adaptive = true},
              .fields = &describe_fields<ThaConfig>,
              .dataset_defaults = kDatasetDefaults},
    .make = &make,
    .train = &train,
};

}  // namespace gauntlet::attacks
