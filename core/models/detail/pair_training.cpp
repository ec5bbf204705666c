#include "core/models/detail/pair_training.hpp"

#include <cmath>

#include "core/models/detail/augment.hpp"
#include "core/models/detail/row_noise.hpp"
#include "core/models/weights.hpp"

namespace gauntlet::models {
namespace {

constexpr std::uint64_t kImageDropoutTag = 0x44524F56;  // "DROV"
constexpr std::uint64_t kTextDropoutTag = 0x44524F54;   // "DROT"
constexpr double kPolyPower = 0.9;

std::unique_ptr<torch::optim::Optimizer> make_optimiser(const RecipeConfig& recipe, PairNet& net) {
  const auto groups = [&](auto options) {
    using Options = decltype(options);
    std::vector<torch::optim::OptimizerParamGroup> made;
    for (const Modality modality : {Modality::kImage, Modality::kText}) {
      made.emplace_back(net.trained_parameters(modality), std::make_unique<Options>(options));
    }
    return made;
  };
  if (recipe.optimiser == "adam") {
    const auto options = torch::optim::AdamOptions().weight_decay(recipe.weight_decay);
    return std::make_unique<torch::optim::Adam>(groups(options), options);
  }
  const auto options =
      torch::optim::SGDOptions(recipe.lr_image).momentum(recipe.momentum).weight_decay(recipe.weight_decay);
  return std::make_unique<torch::optim::SGD>(groups(options), options);
}

}  // namespace

double rate_factor(const RecipeConfig& recipe, std::int64_t step, std::int64_t n_steps, std::int64_t epoch) {
  const double done = static_cast<double>(epoch) / static_cast<double>(recipe.epochs);
  double factor = 1;
  if (recipe.schedule == "linear") factor = 1 + (recipe.last_rate - 1) * done;
  if (recipe.schedule == "logarithmic") factor = std::pow(recipe.last_rate, done);
  if (recipe.schedule == "stage") {
    factor = std::pow(recipe.stage_factor, static_cast<double>(epoch / recipe.stage_epochs));
  }
  if (recipe.schedule == "poly") {
    GAUNTLET_CHECK(step < n_steps);
    factor = std::pow(1 - static_cast<double>(step) / static_cast<double>(n_steps), kPolyPower);
  }
  if (step >= recipe.warmup_steps) return factor;
  return factor * static_cast<double>(step + 1) / static_cast<double>(recipe.warmup_steps);
}

PairTraining::PairTraining(const RecipeConfig& recipe, std::shared_ptr<PairNet> net,
                           const TrainingSetup& setup)
    : recipe_(recipe), net_(std::move(net)), setup_(setup) {
  net_->train();
  share_weights(*net_, *setup_.communicator);
  std::vector<torch::Tensor> parameters = net_->trained_parameters(Modality::kImage);
  const std::vector<torch::Tensor> text = net_->trained_parameters(Modality::kText);
  parameters.insert(parameters.end(), text.begin(), text.end());
  reducer_ = setup_.communicator->make_reducer(parameters);
  optimiser_ = make_optimiser(recipe_, *net_);
}

torch::Dtype PairTraining::dtype() const { return net_->text_head->out->weight.scalar_type(); }

TrainingBatch PairTraining::augmented_batch(const TrainingBatch& batch) const {
  TrainingBatch seen = batch;
  const Augmentation augmentation{recipe_.augment_flip, recipe_.augment_shift};
  if (batch.images.dim() == 4 && (augmentation.flip || augmentation.max_shift > 0)) {
    seen.images = augmented(batch.images, batch.rows, augmentation, setup_.seed, step_);
  }
  return seen;
}

torch::Tensor PairTraining::outputs(Modality modality, const TrainingBatch& seen) {
  const bool image = modality == Modality::kImage;
  const HashHeadLayout& layout = net_->head(modality)->layout();
  torch::Tensor mask;
  if (layout.hidden > 0 && layout.dropout > 0) {
    mask = dropout_mask(seen.rows, layout.hidden, layout.dropout, setup_.seed,
                        image ? kImageDropoutTag : kTextDropoutTag, step_, dtype());
  }
  return net_->outputs(modality, image ? seen.images : seen.text, mask);
}

PairForward PairTraining::forward(const TrainingBatch& batch) { return forward_seen(augmented_batch(batch)); }

PairForward PairTraining::forward_seen(const TrainingBatch& seen) {
  const torch::Tensor local =
      torch::cat({outputs(Modality::kImage, seen), outputs(Modality::kText, seen)}, 1);
  const std::vector<torch::Tensor> both = ranks().gather_rows(local).chunk(2, 1);
  return {both[0], both[1], ranks().gather_rows(seen.labels), ranks().gather_rows(seen.rows)};
}

void PairTraining::descend(const torch::Tensor& loss) {
  const double factor = rate_factor(recipe_, step_, n_steps_, epoch_);
  auto& groups = optimiser_->param_groups();
  groups[0].options().set_lr(recipe_.lr_image * factor);
  groups[1].options().set_lr(recipe_.lr_text * factor);
  optimiser_->zero_grad();
  reducer_->backward(loss);
  optimiser_->step();
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

torch::Tensor sign_codes(const torch::Tensor& x) {
  return torch::where(x > 0, torch::ones_like(x), -torch::ones_like(x));
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
