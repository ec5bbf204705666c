#include <algorithm>

#include "core/models/detail/daph.hpp"
#include "core/models/objectives.hpp"
#include "core/models/rank_means.hpp"
#include "core/models/weights.hpp"

namespace gauntlet::models {

DaphTraining::DaphTraining(const DaphConfig& config, std::shared_ptr<DaphNet> net,
                           std::unique_ptr<DaphProxies> proxies, const TrainingSetup& setup)
    : config_(config), net_(std::move(net)), proxies_(std::move(proxies)), setup_(setup) {
  const torch::Dtype dtype = net_->parameters().front().scalar_type();
  proxies_->to(setup.labels.device(), dtype);
  setup_.labels = setup.labels.to(dtype);
  share_weights(*net_, *setup_.communicator);
  share_weights(*proxies_, *setup_.communicator);
  proxy_image_ = torch::zeros({setup_.labels.size(0), net_->shape().code_bits}, setup_.labels.options());
  proxy_text_ = torch::zeros_like(proxy_image_);

  const auto optimiser = [&](const std::vector<torch::Tensor>& parameters, double base) {
    return make_optimiser(config_.optimiser, {parameters},
                          {.rate = base, .weight_decay = config_.weight_decay});
  };
  data_optimiser_ = optimiser(proxies_->data_parameters(config_.train_proxy_head), config_.proxy_lr);
  class_optimiser_ = optimiser(proxies_->class_parameters(), config_.class_lr);
  proxy_reducer_ = setup_.communicator->make_reducer(trainable_parameters(*proxies_));
  hash_optimiser_ = std::make_unique<collective::ShardedOptimiser>(
      optimiser(trainable_parameters(*net_), config_.lr), *setup_.communicator);
}

void DaphTraining::begin(std::int64_t n_steps) {
  steps_per_epoch_ = n_steps / n_epochs();
  start_stage(Stage::kProxies, config_.proxy_epochs);
}

void DaphTraining::start_stage(Stage stage, std::int64_t n_epochs) {
  stage_ = stage;
  clock_ = {.n_steps = n_epochs * steps_per_epoch_};
}

double DaphTraining::rate(double base) const {
  TrainingClock clock = clock_;
  // Epochs of a caller's own may be longer than the run announced.
  clock.n_steps = std::max(clock.n_steps, clock.step + 1);
  return learning_rate(config_.rate, base, clock);
}

Losses DaphTraining::step(const TrainingBatch& batch) {
  Losses losses = {{"total", 0}, {"proxies", 0}, {"image", 0}, {"text", 0}};
  if (stage_ == Stage::kHash) {
    const auto [image, text] = stage_2(batch);
    const torch::Tensor total = image.total + text.total;
    hash_step(total);
    const std::vector<double> means =
        means_over_ranks(*setup_.communicator, {image.total, text.total, total});
    losses["image"] = means[0];
    losses["text"] = means[1];
    losses["total"] = means[2];
  } else {
    losses["total"] = losses["proxies"] = stage_1(batch).total.item<double>();
  }
  ++clock_.step;
  ++step_;
  return losses;
}

torch::Tensor DaphTraining::objective(const TrainingBatch& batch) {
  if (stage_ != Stage::kHash) {
    step(batch);
    return {};
  }
  const auto [image, text] = stage_2(batch);
  ++clock_.step;
  ++step_;
  const torch::Tensor own = image.total + text.total;
  return with_value_of_all(*setup_.communicator, own);
}

ProxyLoss DaphTraining::stage_1(const TrainingBatch& batch) {
  const RowDraws draws{setup_.seed, step_, batch.rows};
  const bool exports = stage_ == Stage::kExport;
  const torch::AutoGradMode with_gradient(!exports);
  const ProxyForward pass =
      exports ? proxy_forward(batch, config_.export_dropout ? &draws : nullptr)
              : proxy_forward(augmented(batch, augmentation_of(config_), setup_.seed, step_), &draws);
  proxy_image_.index_copy_(0, pass.rows, pass.image.detach());
  proxy_text_.index_copy_(0, pass.rows, pass.text.detach());
  return exports ? proxy_loss(pass) : proxy_step(pass);
}

ProxyForward DaphTraining::proxy_forward(const TrainingBatch& batch, const RowDraws* draws) {
  collective::Communicator& ranks = *setup_.communicator;
  const torch::Tensor image = proxies_->image(batch.images, batch.labels, draws);
  const torch::Tensor text = proxies_->text(batch.text, batch.labels, draws);
  const std::vector<torch::Tensor> both = ranks.gather_rows(torch::cat({image, text}, 1)).chunk(2, 1);
  return {both[0], both[1], proxies_->classes(draws), ranks.gather_rows(batch.labels),
          ranks.gather_rows(batch.rows)};
}

ProxyLoss DaphTraining::proxy_loss(const ProxyForward& pass) const {
  const auto affinity = [&](const torch::Tensor& codes) {
    return proxy_term(codes, pass.classes, pass.labels, config_.scale(), config_.proxy_form());
  };
  ProxyLoss loss;
  loss.image_affinity = affinity(pass.image);
  loss.text_affinity = affinity(pass.text);
  loss.separation = class_separation(pass.classes);
  loss.image_gap = binary_gap(pass.image);
  loss.text_gap = binary_gap(pass.text);
  loss.class_gap = binary_gap(pass.classes);
  loss.image_imbalance = bit_imbalance(pass.image);
  loss.text_imbalance = bit_imbalance(pass.text);
  loss.class_imbalance = bit_imbalance(pass.classes);
  loss.total = loss.image_affinity + loss.text_affinity + loss.separation +
               config_.beta * (loss.image_gap + loss.text_gap + loss.class_gap) +
               config_.alpha * (loss.image_imbalance + loss.text_imbalance + loss.class_imbalance);
  return loss;
}

ProxyLoss DaphTraining::proxy_step(const ProxyForward& pass) {
  ProxyLoss loss = proxy_loss(pass);
  set_learning_rate(*data_optimiser_, rate(config_.proxy_lr));
  set_learning_rate(*class_optimiser_, rate(config_.class_lr));
  proxies_->zero_grad();
  proxy_reducer_->backward(loss.total);
  data_optimiser_->step();
  class_optimiser_->step();
  return loss;
}

std::pair<HashLoss, HashLoss> DaphTraining::stage_2(const TrainingBatch& batch) {
  const RowDraws draws{setup_.seed, step_, batch.rows};
  const HashForward pass =
      hash_forward(augmented(batch, augmentation_of(config_), setup_.seed, step_), &draws);
  return {hash_loss(Modality::kImage, pass), hash_loss(Modality::kText, pass)};
}

HashForward DaphTraining::hash_forward(const TrainingBatch& batch, const RowDraws* draws) {
  const torch::Tensor image = net_->image_codes(batch.images, draws);
  const torch::Tensor text = net_->text_codes(batch.text, draws);
  // Side by side in memory, as products' results depend on how their factors lie: results stay those of
  // versions that exchanged both here.
  const std::vector<torch::Tensor> both = torch::cat({image, text}, 1).chunk(2, 1);
  HashForward pass;
  pass.image = both[0];
  pass.text = both[1];
  pass.labels = batch.labels;
  pass.image_sets = anchor_sets(pass.labels, anchors.labels, false, config_.eps);
  pass.text_sets = config_.text_positives == "subset"
                       ? anchor_sets(pass.labels, anchors.labels, true, config_.eps)
                       : pass.image_sets;
  const auto n_partial = [](const AnchorSets& sets) { return sets.partial.any(1).sum(); };
  torch::Tensor counts = torch::stack({torch::full({}, pass.labels.size(0), batch.rows.options()),
                                       n_partial(pass.image_sets), n_partial(pass.text_sets)});
  const torch::Tensor own = counts.to(torch::kCPU, torch::kFloat64);
  setup_.communicator->all_reduce_sum_(counts);
  // Own means, over at least one item, become shares of the batch's by these.
  const torch::Tensor shares = own.clamp_min(1) / counts.to(torch::kCPU, torch::kFloat64).clamp_min(1) *
                               setup_.communicator->world_size();
  pass.row_share = shares[0].item<double>();
  pass.image_partial_share = shares[1].item<double>();
  pass.text_partial_share = shares[2].item<double>();
  return pass;
}

HashLoss DaphTraining::hash_loss(Modality modality, const HashForward& pass) const {
  const bool image = modality == Modality::kImage;
  const torch::Tensor& codes = image ? pass.image : pass.text;
  HashLoss loss;
  if (codes.size(0) == 0) {  // a rank with no part of the last batch
    const torch::Tensor nothing = codes.sum();
    return {{nothing, nothing}, {nothing, nothing}, nothing, nothing};
  }
  const AnchorSets& sets = image ? pass.image_sets : pass.text_sets;
  const double partial_share = image ? pass.image_partial_share : pass.text_partial_share;
  const auto against = [&](const torch::Tensor& of_modality) {
    const AnchorLoss own = anchor_loss(codes, of_modality, sets, config_.scale());
    return AnchorLoss{own.full * pass.row_share, own.partial * partial_share};
  };
  loss.image_anchors = against(anchors.image);
  loss.text_anchors = against(anchors.text);
  loss.classes = class_loss(codes, anchors.classes, pass.labels, config_.scale()) * pass.row_share;
  loss.total = loss.image_anchors.full + loss.text_anchors.full + loss.classes +
               config_.eta * (loss.image_anchors.partial + loss.text_anchors.partial);
  return loss;
}

void DaphTraining::hash_step(const torch::Tensor& loss) {
  set_learning_rate(hash_optimiser_->optimiser(), rate(config_.lr));
  hash_optimiser_->step(loss);
}

void DaphTraining::end_epoch() {
  ++clock_.epoch;
  if (stage_ == Stage::kProxies && clock_.epoch == config_.proxy_epochs) {
    start_stage(Stage::kExport, 1);
    proxies_->train(config_.export_dropout);
  } else if (stage_ == Stage::kExport) {
    make_anchors();
    start_stage(Stage::kHash, config_.epochs);
  }
}

Rates DaphTraining::learning_rates() const {
  if (stage_ == Stage::kHash) return {{"lr", learning_rate_of(hash_optimiser_->optimiser())}};
  return {{"proxy_lr", learning_rate_of(*data_optimiser_)},
          {"class_lr", learning_rate_of(*class_optimiser_)}};
}

void DaphTraining::make_anchors() {
  const torch::NoGradGuard no_grad;
  // The items a dropped partial batch kept from the last pass have the proxy of the last step that saw them;
  // items without labels are in no batch and have none.
  const torch::Tensor seen = proxy_image_.ne(0).any(1).nonzero().squeeze(1);
  const RowDraws draws{setup_.seed, step_, {}};
  anchors = {signs(proxy_image_.index_select(0, seen)), signs(proxy_text_.index_select(0, seen)),
             setup_.labels.index_select(0, seen),
             signs(proxies_->classes(config_.export_dropout ? &draws : nullptr))};
  drop_proxies();
}

void DaphTraining::drop_proxies() {
  data_optimiser_.reset();
  class_optimiser_.reset();
  proxy_reducer_.reset();
  proxies_.reset();
}

void DaphTraining::visit_state(StateVisitor& visitor) {
  auto stage = static_cast<std::int64_t>(stage_);
  visitor.number("stage", stage);
  stage_ = static_cast<Stage>(stage);
  visitor.part("clock", clock_);
  visitor.number("step", step_);
  visitor.module("model", *net_);
  visitor.optimiser("hash_optimiser", hash_optimiser_->optimiser());
  if (stage_ == Stage::kHash) {
    drop_proxies();
    visitor.tensor("anchors_image", anchors.image);
    visitor.tensor("anchors_text", anchors.text);
    visitor.tensor("anchors_labels", anchors.labels);
    visitor.tensor("anchors_classes", anchors.classes);
    return;
  }
  if (stage_ == Stage::kExport) proxies_->train(config_.export_dropout);
  visitor.module("proxies", *proxies_);
  visitor.optimiser("data_optimiser", *data_optimiser_);
  visitor.optimiser("class_optimiser", *class_optimiser_);
  visitor.tensor("proxy_image", proxy_image_);
  visitor.tensor("proxy_text", proxy_text_);
}

}  // namespace gauntlet::models
