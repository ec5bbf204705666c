#include "core/defenses/detail/drfgd_trainer.hpp"

#include "core/base/check.hpp"
#include "core/models/losses.hpp"

namespace gauntlet::defenses {
namespace {

using torch::Tensor;

std::unique_ptr<collective::ShardedOptimiser> adam(const std::vector<Tensor>& parameters,
                                                   const DrfgdConfig& config,
                                                   collective::Communicator& ranks) {
  auto options = torch::optim::AdamOptions(config.lr).betas({config.beta1, config.beta2});
  return std::make_unique<collective::ShardedOptimiser>(
      std::make_unique<torch::optim::Adam>(parameters, options), ranks);
}

/// Turns a sum over this rank's rows into its share of a mean over the global batch, times the number of
/// ranks.
double share_of(const collective::Communicator& communicator, const DrfgdBatch& batch) {
  return static_cast<double>(communicator.world_size()) / static_cast<double>(batch.global_size);
}

}  // namespace

/// Collects weighted losses of a batch that is spread over ranks.
struct DrfgdTrainer::Objective {
  double share = 1;  ///< ranks / rows of the global batch: turns a sum over local rows into this rank's share
  Tensor total;
  std::map<std::string, Tensor> losses;

  Tensor record(const char* name, const Tensor& rows) {
    const auto loss = rows.sum() * share;
    losses[name] = loss.detach();
    return loss;
  }
  void add(const char* name, double weight, const Tensor& rows) {
    const auto term = record(name, rows) * weight;
    total = total.defined() ? total + term : term;
  }
};

std::vector<Tensor> trained_parameters(const Generator& generator, const DrfgdConfig& config) {
  std::vector<Tensor> trained;
  for (const auto& parameter : generator.named_parameters()) {
    const bool is_classifier = parameter.key().starts_with("cls.");
    const bool is_avf = parameter.key().starts_with("avf.");
    if (is_classifier && !config.has_classifier()) continue;
    if (is_avf && !config.has_classifier() && !config.has_divergence()) continue;
    if (config.frozen_generator && is_autoencoder(parameter.key())) continue;
    trained.push_back(parameter.value());
  }
  return trained;
}

DrfgdTrainer::DrfgdTrainer(const DrfgdConfig& config, DrfgdPlayers players)
    : config_(config),
      players_(std::move(players)),
      pass_(config.has_classifier() || config.has_divergence() ? Pass::kEverything : Pass::kRegenerate),
      divergence_(config.div_mode == "literal" ? Divergence::kLiteral : Divergence::kSeparate),
      game_(config.game()),
      precision_(config.precision.value()) {
  collective::Communicator& ranks = *players_.communicator;
  generator_optimiser_ = adam(trained_parameters(*players_.generator, config_), config_, ranks);
  if (config_.use_dis) {
    GAUNTLET_CHECK(players_.discriminator != nullptr);
    discriminator_optimiser_ = adam(players_.discriminator->parameters(), config_, ranks);
  }
}

std::map<std::string, Tensor> DrfgdTrainer::step(const DrfgdBatch& batch) {
  Objective objective;
  objective.share = share_of(*players_.communicator, batch);
  // One pass over clean and adversarial inputs, so that batch normalisation sees both.
  const Generated made =
      generate(*players_.generator, torch::cat({batch.clean, batch.adversarial}), pass_, precision_);
  if (config_.use_dis && n_steps_ % config_.d_every == 0) {
    const auto outputs = made.output.detach().chunk(2);
    step_discriminator(objective, batch.clean, outputs[0], outputs[1]);
  }
  ++n_steps_;
  if (pass_ == Pass::kEverything) add_feature_losses(objective, made, batch.labels);
  std::unique_ptr<models::FrozenModule> frozen;
  if (config_.use_dis)
    frozen = std::make_unique<models::FrozenModule>(*players_.discriminator, /*eval=*/false);
  add_output_losses(objective, batch, made.output);
  generator_optimiser_->step(objective.total);
  objective.losses["total"] = objective.total.detach();
  return std::move(objective.losses);
}

void DrfgdTrainer::visit_state(models::StateVisitor& visitor) {
  visitor.module("generator", *players_.generator);
  visitor.optimiser("generator_optimiser", generator_optimiser_->optimiser());
  visitor.number("n_steps", n_steps_);
  if (!config_.use_dis) return;
  visitor.module("discriminator", *players_.discriminator);
  visitor.optimiser("discriminator_optimiser", discriminator_optimiser_->optimiser());
}

Tensor DrfgdTrainer::judged(const Tensor& input) const {
  return judge(*players_.discriminator, input, precision_);
}

void DrfgdTrainer::step_discriminator(Objective& objective, const Tensor& clean,
                                      const Tensor& regenerated_clean,
                                      const Tensor& regenerated_adversarial) {
  const auto real = discriminator_real(judged(clean), game_);
  const auto fake_clean = discriminator_fake(judged(regenerated_clean), game_);
  const auto fake_adversarial = discriminator_fake(judged(regenerated_adversarial), game_);
  discriminator_optimiser_->step(objective.record("d", real + 0.5 * (fake_clean + fake_adversarial)));
}

void DrfgdTrainer::add_feature_losses(Objective& objective, const Generated& made,
                                      const Tensor& labels) const {
  if (config_.has_divergence()) {
    const auto rows = divergence(made.z_arf, made.z_avf, divergence_, config_.div_margin);
    objective.add("div", config_.lambda, 0.5 * rows);
  }
  if (!config_.has_classifier()) return;
  const auto arf = multi_label_cross_entropy(made.logits_arf, labels.repeat({2, 1}), config_.cls_norm);
  if (!config_.has_avf()) {
    objective.add("cls", config_.lambda, arf / 2);
    return;
  }
  const auto targets = torch::cat({labels, 1 - labels});  // the adversarial AVF must not know the labels
  const auto avf = multi_label_cross_entropy(made.logits_avf, targets, config_.cls_norm).chunk(2);
  objective.add("cls", config_.lambda, torch::cat({arf / 3, avf[0] / 3, avf[1]}));
}

void DrfgdTrainer::add_output_losses(Objective& objective, const DrfgdBatch& batch,
                                     const Tensor& output) const {
  const auto outputs = output.chunk(2);
  if (config_.use_dis) {
    const auto clean = generator_fake(judged(outputs[0]), game_);
    const auto adversarial = generator_fake(judged(outputs[1]), game_);
    objective.add("dis", 1, 0.5 * (clean + adversarial));
  }
  if (config_.use_ali && config_.alpha > 0) {
    const auto relevant = models::relevance_mask(batch.labels, players_.train_labels).repeat({2, 1});
    const auto rows =
        models::repel_attract_loss(players_.encode(output), players_.code_sum, /*attract=*/relevant,
                                   /*repel=*/relevant.logical_not(), config_.tau);
    objective.add("ali", config_.alpha, 0.5 * rows);
  }
  if (config_.use_rec && config_.beta > 0) {
    auto rows = squared_error(outputs[0], batch.clean) + squared_error(outputs[1], batch.clean);
    if (config_.rec_pairs == 3) rows = rows + squared_error(outputs[0], outputs[1]);
    objective.add("rec", config_.beta, rows / static_cast<double>(config_.rec_pairs));
  }
}

namespace {

/// What reproducing an input takes: all but the AVF branch and the classifier.
std::vector<Tensor> reproducing_parameters(const Generator& generator) {
  std::vector<Tensor> trained;
  for (const auto& parameter : generator.named_parameters()) {
    if (parameter.key().starts_with("avf.") || parameter.key().starts_with("cls.")) continue;
    trained.push_back(parameter.value());
  }
  return trained;
}

}  // namespace

AutoencoderTrainer::AutoencoderTrainer(const DrfgdConfig& config, std::shared_ptr<Generator> generator,
                                       collective::Communicator* communicator)
    : generator_(std::move(generator)), communicator_(communicator), precision_(config.precision.value()) {
  optimiser_ = adam(reproducing_parameters(*generator_), config, *communicator_);
}

std::map<std::string, Tensor> AutoencoderTrainer::step(const DrfgdBatch& batch) {
  const Generated made = generate(*generator_, batch.clean, Pass::kRegenerate, precision_);
  const Tensor loss = squared_error(made.output, batch.clean).sum() * share_of(*communicator_, batch);
  optimiser_->step(loss);
  return {{"autoencoder", loss.detach()}};
}

void AutoencoderTrainer::visit_state(models::StateVisitor& visitor) {
  visitor.module("generator", *generator_);
  visitor.optimiser("optimiser", optimiser_->optimiser());
}

void freeze_autoencoder(Generator& generator) {
  generator.eval();  // branches, classifier and projection have no mode
  for (auto& parameter : generator.named_parameters()) {
    if (is_autoencoder(parameter.key())) parameter.value().set_requires_grad(false);
  }
}

}  // namespace gauntlet::defenses
