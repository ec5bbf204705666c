#include "core/attacks/detail/eqb2a_generator.hpp"

#include <string>

#include "core/attacks/detail/in_precision.hpp"
#include "core/models/weights.hpp"

namespace gauntlet::attacks::eqb2a {
namespace {

using torch::Tensor;

constexpr int kTranslatorLayers = 4;
constexpr int kResidualBlocks = 6;
constexpr double kGreyLevels = 255;

torch::optim::AdamOptions adam_options(const Config& config) {
  return torch::optim::AdamOptions(config.lr_generator).betas({config.beta1, config.beta2});
}

/// Generated pictures [-1,1] as the image knockoff takes them, where 1 stands for 255 grey levels.
Tensor as_pixels(const Tensor& generated, bool restore) {
  return restore ? (generated + 1) * 0.5 : generated / kGreyLevels;
}

}  // namespace

ImageGenerator::ImageGenerator(std::int64_t width) : last_(nullptr) {
  const auto translator = register_module("trans", std::make_shared<torch::nn::Module>());
  for (int i = 1; i <= kTranslatorLayers; ++i) {
    translator_.push_back(translator->register_module(
        "conv" + std::to_string(i), make_conv({.in = 3, .out = 3, .kernel = 3, .padding = 1})));
  }
  const ConvShape down[] = {
      {.in = 6, .out = width, .kernel = 7, .padding = 3, .bias = true},
      {.in = width, .out = 2 * width, .kernel = 4, .stride = 2, .padding = 1, .bias = true},
      {.in = 2 * width, .out = 4 * width, .kernel = 4, .stride = 2, .padding = 1, .bias = true}};
  for (const ConvShape& shape : down) {
    down_.push_back(add_layer(*this, "down" + std::to_string(down_.size() + 1), "conv", make_conv(shape)));
  }
  for (int i = 1; i <= kResidualBlocks; ++i) {
    residual_.push_back(
        register_module("res" + std::to_string(i), std::make_shared<ResidualBlock>(4 * width)));
  }
  const ConvShape up[] = {{.in = 4 * width, .out = 2 * width, .kernel = 4, .stride = 2, .padding = 1},
                          {.in = 2 * width, .out = width, .kernel = 4, .stride = 2, .padding = 1}};
  for (const ConvShape& shape : up) {
    up_.push_back(add_layer(*this, "up" + std::to_string(up_.size() + 1), "deconv", make_deconv(shape)));
  }
  last_ = add_layer(*this, "last", "conv", make_conv({.in = width + 3, .out = 3, .kernel = 3, .padding = 1}));
}

Tensor ImageGenerator::translated(const Tensor& perturbation) {
  Tensor x = perturbation;
  for (auto& layer : translator_) x = relu_of_norm(layer->forward(x));
  return x;
}

Tensor ImageGenerator::forward(const Tensor& u, const Tensor& perturbation) {
  Tensor x = torch::cat({u, translated(perturbation)}, 1);
  for (auto& layer : down_) x = relu_of_norm(layer->forward(x));
  for (auto& block : residual_) x = block->forward(x);
  for (auto& layer : up_) x = relu_of_norm(layer->forward(x));
  return torch::tanh(last_->forward(torch::cat({x, u}, 1)));
}

GeneratorTrainer::GeneratorTrainer(const Config& config, GeneratorPlayers players)
    : config_(config),
      players_(std::move(players)),
      generator_optimizer_(players_.generator->parameters(), adam_options(config)),
      discriminator_optimizer_(players_.discriminator->parameters(), adam_options(config)) {}

void GeneratorTrainer::visit_state(models::StateVisitor& visitor) {
  visitor.module("discriminator", *players_.discriminator);
  visitor.optimiser("generator_optimiser", generator_optimizer_);
  visitor.optimiser("discriminator_optimiser", discriminator_optimizer_);
}

template <class Forward>
Tensor GeneratorTrainer::of(const Tensor& input, const Forward& forward) const {
  return in_precision(config_.precision.value(), input, forward);
}

Tensor GeneratorTrainer::logits(const Tensor& pictures) const {
  return of(pictures, [this](const Tensor& x) { return players_.discriminator->forward(x); });
}

StepLosses GeneratorTrainer::step(const Tensor& u, const Tensor& near, std::int64_t step_in_epoch) {
  StepLosses losses;
  Tensor perturbation;
  {
    const torch::NoGradGuard no_grad;
    perturbation = of(u, [this](const Tensor& x) { return players_.perturbation->forward(x); });
  }
  const Tensor adversarial =
      of(u, [&](const Tensor& x) { return players_.generator->forward(x, perturbation); });
  if (step_in_epoch % config_.d_every == 0) step_discriminator(u, adversarial.detach(), losses);
  const models::FrozenModule frozen(*players_.discriminator, /*eval=*/false);
  const Tensor total = objective(u, near, perturbation, adversarial, losses);
  generator_optimizer_.zero_grad();
  total.backward();
  generator_optimizer_.step();
  losses["total"] = total.detach();
  return losses;
}

void GeneratorTrainer::step_discriminator(const Tensor& real, const Tensor& fake, StepLosses& losses) {
  const Tensor of_real = least_squares(logits(real), 0);
  const Tensor of_fake = least_squares(logits(fake), 1);
  const Tensor total = 0.5 * (of_real + of_fake);
  discriminator_optimizer_.zero_grad();
  total.backward();
  discriminator_optimizer_.step();
  losses["d_real"] = of_real.detach();
  losses["d_fake"] = of_fake.detach();
  losses["d"] = total.detach();
}

Tensor GeneratorTrainer::objective(const Tensor& u, const Tensor& near, const Tensor& perturbation,
                                   const Tensor& adversarial, StepLosses& losses) {
  const Tensor codes = of(as_pixels(adversarial, config_.restore),
                          [this](const Tensor& x) { return players_.image_knockoff->forward(x); });
  const Tensor away = alienation(codes, players_.text_codes.index({near}), config_.alienation_margin);
  const Tensor reconstruction = (adversarial - u).pow(2).mean();
  const Tensor gan = least_squares(logits(adversarial), 0);
  losses["alienation"] = away.detach();
  losses["reconstruction"] = reconstruction.detach();
  losses["gan"] = gan.detach();
  Tensor total =
      config_.alienation_weight * away + config_.rec_weight * reconstruction + config_.gan_weight * gan;
  if (config_.supervisor_weight > 0) {
    Tensor wanted;
    {
      const torch::NoGradGuard no_grad;
      wanted = of(perturbation, [this](const Tensor& x) { return players_.supervisor->forward(x); });
    }
    const Tensor supervised = 1 - (codes * wanted).mean();
    losses["supervisor"] = supervised.detach();
    total = total + config_.supervisor_weight * supervised;
  }
  return total;
}

}  // namespace gauntlet::attacks::eqb2a
