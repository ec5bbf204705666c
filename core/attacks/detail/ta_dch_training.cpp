#include "core/attacks/detail/ta_dch_training.hpp"

#include "core/attacks/detail/generator_layers.hpp"
#include "core/attacks/detail/in_precision.hpp"
#include "core/models/losses.hpp"
#include "core/models/objectives.hpp"
#include "core/models/weights.hpp"

namespace gauntlet::attacks::ta_dch {
namespace {

using torch::Tensor;

constexpr double kReal = 0, kFake = 1;  // the discriminator's last output
constexpr double kRateDrop = 0.1;

torch::optim::AdamOptions adam(const TaDchConfig& config, double lr) {
  return torch::optim::AdamOptions(lr).betas({config.beta1, config.beta2}).eps(config.adam_eps);
}

void set_learning_rate(torch::optim::Adam& optimizer, double lr) {
  for (auto& group : optimizer.param_groups()) {
    static_cast<torch::optim::AdamOptions&>(group.options()).lr(lr);
  }
}

}  // namespace

Tensor within_bound(const Tensor& changed, const Tensor& clean, double bound) {
  if (bound == 0) return changed;
  return clean + (changed - clean).clamp(-bound, bound);
}

Tensor input_loss(const Tensor& input, const std::function<Tensor(const Tensor&)>& loss_of) {
  const Tensor leaf = input.detach().requires_grad_();
  const Tensor loss = loss_of(leaf);
  const Tensor gradient = torch::autograd::grad({loss}, {leaf}).front();
  return loss.detach() + ((input - input.detach()) * gradient).sum();
}

PrototypeTrainer::PrototypeTrainer(const TaDchConfig& config, std::shared_ptr<PrototypeNet> net, Tensor codes,
                                   Tensor train_labels, std::int64_t n_steps)
    : config_(config),
      net_(std::move(net)),
      codes_(std::move(codes)),
      train_labels_(std::move(train_labels)),
      optimizer_(net_->parameters(), adam(config, config.prototype_lr)),
      n_steps_(n_steps) {}

double PrototypeTrainer::learning_rate() const {
  return n_taken_ < n_steps_ / 2 || n_steps_ < 2 ? config_.prototype_lr : kRateDrop * config_.prototype_lr;
}

StepLosses PrototypeTrainer::step(const Tensor& labels, const Tensor& text) {
  const Prototype made = prototype_of(*net_, config_.precision.value(), labels, text);
  const Tensor theta = 0.5 * made.code.matmul(codes_.t());
  const Tensor similar = models::relevance_mask(labels, train_labels_).to(theta.scalar_type());
  const auto n_rows = static_cast<double>(labels.size(0));
  const Tensor classifier = (made.labels - labels).square().mean();
  const Tensor similarity = models::pairwise_likelihood(theta, similar) / static_cast<double>(theta.numel());
  const Tensor quantisation = (made.code.detach().sign() - made.code).square().sum() / n_rows;
  const Tensor total = config_.prototype_class_weight * classifier +
                       config_.prototype_similarity_weight * similarity +
                       config_.prototype_quantisation_weight * quantisation;
  set_learning_rate(optimizer_, learning_rate());
  optimizer_.zero_grad();
  total.backward();
  optimizer_.step();
  ++n_taken_;
  return {{"classifier", classifier.detach()},
          {"similarity", similarity.detach()},
          {"quantisation", quantisation.detach()},
          {"total", total.detach()}};
}

void PrototypeTrainer::visit_state(models::StateVisitor& visitor) {
  visitor.module("net", *net_);
  visitor.optimiser("optimiser", optimizer_);
  visitor.number("n_taken", n_taken_);
}

GeneratorTrainer::GeneratorTrainer(const TaDchConfig& config, Players players)
    : config_(config),
      players_(std::move(players)),
      generator_optimizer_(players_.generator->parameters(), adam(config, config.lr)),
      discriminator_optimizer_(players_.discriminator->parameters(), adam(config, config.lr)),
      generator_reducer_(players_.communicator->make_reducer(players_.generator->parameters())),
      discriminator_reducer_(players_.communicator->make_reducer(players_.discriminator->parameters())) {}

void GeneratorTrainer::visit_state(models::StateVisitor& visitor) {
  visitor.module("generator", *players_.generator);
  visitor.module("discriminator", *players_.discriminator);
  visitor.optimiser("generator_optimiser", generator_optimizer_);
  visitor.optimiser("discriminator_optimiser", discriminator_optimizer_);
}

Tensor GeneratorTrainer::logits(const Tensor& input) const {
  return in_precision(config_.precision.value(), input,
                      [this](const Tensor& x) { return players_.discriminator->forward(x); });
}

void GeneratorTrainer::step_discriminator(const GeneratorBatch& batch, const Tensor& adversarial,
                                          StepLosses& losses) {
  const Tensor real = least_squares(logits(batch.inputs), batch.labels, kReal).mean();
  const Tensor fake = least_squares(logits(adversarial), batch.target_labels, kFake).mean();
  const Tensor loss = batch.share * 0.5 * (real + fake);
  discriminator_optimizer_.zero_grad();
  discriminator_reducer_->backward(loss);
  discriminator_optimizer_.step();
  losses["d_real"] = batch.share * real.detach();
  losses["d_fake"] = batch.share * fake.detach();
  losses["d"] = loss.detach();
}

StepLosses GeneratorTrainer::step(const GeneratorBatch& batch, std::int64_t step_in_epoch) {
  StepLosses losses;
  const Tensor output = in_precision(config_.precision.value(), batch.inputs, [&](const Tensor& input) {
    return players_.generator->forward(input, batch.feature).output;
  });
  const Tensor adversarial = within_bound(output, batch.inputs, players_.bound);
  if (step_in_epoch % config_.d_every == 0) step_discriminator(batch, adversarial.detach(), losses);

  const models::FrozenModule frozen(*players_.discriminator, /*eval=*/false);
  const Tensor code = input_loss(
      adversarial, [&](const Tensor& input) { return 1 - (players_.encode(input) * batch.code).mean(); });
  const Tensor gan = least_squares(logits(adversarial), batch.target_labels, kReal).mean();
  const Tensor rec = (output - batch.inputs).square().mean();
  const Tensor total =
      batch.share * (config_.code_weight * code + config_.gan_weight * gan + config_.rec_weight * rec);
  generator_optimizer_.zero_grad();
  generator_reducer_->backward(total);
  generator_optimizer_.step();
  losses["code"] = batch.share * code.detach();
  losses["gan"] = batch.share * gan.detach();
  losses["rec"] = batch.share * rec.detach();
  losses["total"] = total.detach();
  return losses;
}

}  // namespace gauntlet::attacks::ta_dch
