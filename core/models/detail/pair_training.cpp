#include "core/models/detail/pair_training.hpp"

#include <cmath>

#include "core/models/weights.hpp"

namespace gauntlet::models {

double rate_factor(const RecipeConfig& recipe, const TrainingClock& clock) {
  const std::string& schedule = recipe.rate.schedule;
  const double done = static_cast<double>(clock.epoch) / static_cast<double>(recipe.epochs);
  double factor = 1;
  if (schedule == "linear") factor = 1 + (recipe.last_rate - 1) * done;
  if (schedule == "logarithmic") factor = std::pow(recipe.last_rate, done);
  if (schedule == "stage") {
    factor = std::pow(recipe.stage_factor, static_cast<double>(clock.epoch / recipe.stage_epochs));
  }
  return learning_rate(recipe.rate, factor, clock);
}

PairTraining::PairTraining(const RecipeConfig& recipe, std::shared_ptr<PairNet> net,
                           const TrainingSetup& setup)
    : recipe_(recipe), net_(std::move(net)), setup_(setup) {
  net_->train();
  share_weights(*net_, *setup_.communicator);
  const std::vector<torch::Tensor> image = net_->trained_parameters(Modality::kImage);
  const std::vector<torch::Tensor> text = net_->trained_parameters(Modality::kText);
  optimiser_ = std::make_unique<collective::ShardedOptimiser>(
      make_optimiser(
          recipe_.optimiser, {image, text},
          {.rate = recipe_.lr_image, .weight_decay = recipe_.weight_decay, .momentum = recipe_.momentum}),
      *setup_.communicator);
}

torch::Dtype PairTraining::dtype() const { return net_->text_head->out->weight.scalar_type(); }

TrainingBatch PairTraining::augmented_batch(const TrainingBatch& batch) const {
  if (net_->trunk->is_frozen()) return batch;  // its features are computed once
  return augmented(batch, recipe_.augmentation, setup_.seed, clock_.step);
}

torch::Tensor PairTraining::outputs(Modality modality, const TrainingBatch& seen) {
  const RowDraws draws{setup_.seed, clock_.step, seen.rows};
  return net_->outputs(modality, modality == Modality::kImage ? seen.images : seen.text, &draws);
}

PairForward PairTraining::forward(const TrainingBatch& batch) { return forward_seen(augmented_batch(batch)); }

PairForward PairTraining::forward_seen(const TrainingBatch& seen) {
  const torch::Tensor local =
      torch::cat({outputs(Modality::kImage, seen), outputs(Modality::kText, seen)}, 1);
  const std::vector<torch::Tensor> both = ranks().gather_rows(local).chunk(2, 1);
  return {both[0], both[1], ranks().gather_rows(seen.labels), ranks().gather_rows(seen.rows)};
}

void PairTraining::descend(const torch::Tensor& loss) {
  const double factor = rate_factor(recipe_, clock_);
  auto& groups = optimiser_->optimiser().param_groups();
  groups[kImageGroup].options().set_lr(recipe_.lr_image * factor);
  groups[kTextGroup].options().set_lr(recipe_.lr_text * factor);
  optimiser_->step(loss);
}

Losses PairTraining::step(const TrainingBatch& batch) {
  const LossTensors found = losses(forward(batch));
  descend(found.at("total"));
  finish_step();
  return values_of(found);
}

torch::Tensor PairTraining::objective(const TrainingBatch& batch) {
  const LossTensors found = losses(forward(batch));
  finish_step();
  return found.at("total");
}

void PairTraining::visit_state(StateVisitor& visitor) {
  visitor.module("model", *net_);
  visitor.optimiser("optimiser", optimiser_->optimiser());
  visitor.part("clock", clock_);
}

torch::Tensor labelled_items(const torch::Tensor& labels) {
  return labels.gt(0.5).any(1, /*keepdim=*/true).to(labels.scalar_type());
}

Losses values_of(const LossTensors& losses) {
  Losses values;
  for (const auto& [name, loss] : losses) values[name] = loss.item<double>();
  return values;
}

}  // namespace gauntlet::models
