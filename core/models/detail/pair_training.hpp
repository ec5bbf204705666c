// What the training runs of PairNet models have in common: options of the optimiser, schedule of the learning
// rate, the forward pass over a global batch, the step.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "core/base/check.hpp"
#include "core/collective/sharded_optimiser.hpp"
#include "core/models/detail/augment.hpp"
#include "core/models/detail/pair_net.hpp"
#include "core/models/detail/recipe.hpp"
#include "core/torch.hpp"

namespace gauntlet::models {

/// Options of the optimiser; the defaults are each model's own.
struct RecipeConfig {
  std::int64_t epochs = 100;
  std::int64_t batch_size = 128;
  std::string optimiser = "sgd";
  double momentum = 0;
  double lr_image = 1e-2;
  double lr_text = 1e-2;
  double weight_decay = 0;
  RateConfig rate{.schedule = "constant"};
  double last_rate = 1;
  std::int64_t stage_epochs = 10;
  double stage_factor = 1;
  Augmentation augmentation = {};

  static void fields(auto& self, auto& visit) {
    visit("epochs", self.epochs, {.doc = "Passes over the training set.", .min = 1, .max = 100000});
    visit("batch_size", self.batch_size,
          {.doc = "Training pairs of the global batch.", .min = 2, .max = 65536});
    visit(
        "optimiser", self.optimiser,
        {.doc =
             "sgd as published, or adam, which needs far fewer epochs on a network that starts from nothing.",
         .choices = {"sgd", "adam"}});
    visit("momentum", self.momentum, {.doc = "Momentum of sgd.", .min = 0, .max = 0.999});
    visit("lr_image", self.lr_image, {.doc = "Learning rate of the image network.", .min = 0, .max = 10});
    visit("lr_text", self.lr_text, {.doc = "Learning rate of the text network.", .min = 0, .max = 10});
    visit("weight_decay", self.weight_decay, {.doc = "L2 added to the gradients.", .min = 0, .max = 1});
    RateConfig::fields(
        self.rate, visit,
        "Learning rates over time: constant; linear or logarithmic, which approach last_rate epoch by epoch; "
        "stage (x stage_factor after every stage_epochs epochs); poly (x (1 - step/steps)^0.9).",
        {"constant", "linear", "logarithmic", "stage", "poly"});
    visit("last_rate", self.last_rate,
          {.doc = "What linear and logarithmic schedules approach, as a share of the first learning rate.",
           .min = 1e-12,
           .max = 1});
    visit("stage_epochs", self.stage_epochs,
          {.doc = "Epochs between two steps of stage.", .min = 1, .max = 100000});
    visit("stage_factor", self.stage_factor, {.doc = "Factor of one step of stage.", .min = 0, .max = 1});
    Augmentation::fields(self.augmentation, visit);
  }
};

/// What the learning rates are multiplied by in the coming step.
[[nodiscard]] double rate_factor(const RecipeConfig& recipe, const TrainingClock& clock);

/// Both networks' outputs for a global batch, and what belongs to its rows; the same on every rank.
struct PairForward {
  torch::Tensor image, text;  ///< [B, K] before tanh
  torch::Tensor labels;       ///< [B, C]
  torch::Tensor rows;         ///< [B] int64
  [[nodiscard]] const torch::Tensor& of(Modality modality) const {
    return modality == Modality::kImage ? image : text;
  }
};

/// Scalars by name, "total" among them.
using LossTensors = std::map<std::string, torch::Tensor>;

/// The published runs make one pass over the image network and then one over the text network, each against
/// the other's outputs as constants. Here both networks take their steps on the same batch. They share no
/// parameter and see each other without gradient, so one backward of the summed losses gives both steps
/// exactly; what differs is the age of the other network's outputs: those of this batch are fresh instead of
/// up to one pass old.
class PairTraining : public ModelTraining {
 public:
  PairTraining(const RecipeConfig& recipe, std::shared_ptr<PairNet> net, const TrainingSetup& setup);

  [[nodiscard]] std::int64_t n_epochs() const override { return recipe_.epochs; }
  [[nodiscard]] std::int64_t batch_size() const override { return recipe_.batch_size; }
  void begin(std::int64_t n_steps) override { clock_.n_steps = n_steps; }
  Losses step(const TrainingBatch& batch) override;
  /// The sum of the losses of all networks.
  [[nodiscard]] torch::Tensor objective(const TrainingBatch& batch) override;
  void end_epoch() override { ++clock_.epoch; }
  [[nodiscard]] Rates learning_rates() const override {
    return {{"lr_image", learning_rate_of(optimiser_->optimiser(), kImageGroup)},
            {"lr_text", learning_rate_of(optimiser_->optimiser(), kTextGroup)}};
  }
  /// Networks, optimiser and clock; models add their own to it.
  void visit_state(StateVisitor& visitor) override;

  /// Augments, encodes with dropout, gathers over ranks.
  [[nodiscard]] PairForward forward(const TrainingBatch& batch);
  /// Losses of a forward pass; buffers take up its outputs first.
  [[nodiscard]] virtual LossTensors losses(const PairForward& pass) = 0;

 protected:
  /// One step of whichever parameters the loss reaches, at the learning rates of now.
  void descend(const torch::Tensor& loss);
  [[nodiscard]] TrainingBatch augmented_batch(const TrainingBatch& batch) const;
  /// Outputs of one network for this rank's rows of an augmented batch, [b, K].
  [[nodiscard]] torch::Tensor outputs(Modality modality, const TrainingBatch& seen);
  /// `forward` of an augmented batch.
  [[nodiscard]] PairForward forward_seen(const TrainingBatch& seen);
  [[nodiscard]] torch::Dtype dtype() const;
  [[nodiscard]] std::int64_t n_bits() const { return net_->image_head->layout().to; }
  [[nodiscard]] PairNet& net() { return *net_; }
  [[nodiscard]] collective::Communicator& ranks() const { return *setup_.communicator; }
  [[nodiscard]] std::int64_t n_items() const { return setup_.labels.size(0); }

  void finish_step() { ++clock_.step; }

 private:
  static constexpr std::size_t kImageGroup = 0, kTextGroup = 1;  // of the optimiser

  RecipeConfig recipe_;
  std::shared_ptr<PairNet> net_;
  TrainingSetup setup_;
  std::unique_ptr<collective::ShardedOptimiser> optimiser_;
  TrainingClock clock_;
};

/// The training run of a PairNet: `make_training` of the models here. Config::kName is the model's name.
template <class Config, class Training>
[[nodiscard]] Result<std::unique_ptr<ModelTraining>> make_pair_training(const Json& config,
                                                                        std::shared_ptr<HashingModel> model,
                                                                        const TrainingSetup& setup) {
  GAUNTLET_TRY(const Config read, read_config<Config>(config, Config::kName));
  auto net = std::dynamic_pointer_cast<PairNet>(std::move(model));
  GAUNTLET_CHECK(net != nullptr);
  return std::make_unique<Training>(read, std::move(net), setup);
}

/// 1 for training items with a label, 0 for those no batch ever holds: labels [N, C] → [N, 1].
[[nodiscard]] torch::Tensor labelled_items(const torch::Tensor& labels);

/// The scalars as numbers.
[[nodiscard]] Losses values_of(const LossTensors& losses);

}  // namespace gauntlet::models
