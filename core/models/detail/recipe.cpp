#include "core/models/detail/recipe.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/check.hpp"

namespace gauntlet::models {
namespace {

constexpr double kPolyPower = 0.9;
constexpr double kLeastRate = 1e-6;

}  // namespace

double learning_rate(const RateConfig& config, double rate, const TrainingClock& clock,
                     const RateDrops& drops) {
  if (config.schedule == "poly") {
    GAUNTLET_CHECK(clock.step < clock.n_steps);
    rate *= std::pow(1 - static_cast<double>(clock.step) / static_cast<double>(clock.n_steps), kPolyPower);
  } else if (config.schedule == "step" && clock.epoch >= drops.first) {
    const std::int64_t n_drops = (clock.epoch - drops.first) / drops.every + 1;
    rate = std::max(rate * std::pow(drops.factor, static_cast<double>(n_drops)), kLeastRate);
  }
  if (clock.step < config.warmup_steps) {
    rate *= static_cast<double>(clock.step + 1) / static_cast<double>(config.warmup_steps);
  }
  return rate;
}

void set_learning_rate(torch::optim::Optimizer& optimiser, double rate) {
  for (auto& group : optimiser.param_groups()) group.options().set_lr(rate);
}

std::unique_ptr<torch::optim::Optimizer> make_optimiser(std::string_view name,
                                                        const std::vector<torch::Tensor>& parameters,
                                                        double rate, double weight_decay) {
  if (name == "adam") {
    return std::make_unique<torch::optim::Adam>(parameters,
                                                torch::optim::AdamOptions(rate).weight_decay(weight_decay));
  }
  return std::make_unique<torch::optim::SGD>(parameters,
                                             torch::optim::SGDOptions(rate).weight_decay(weight_decay));
}

std::unique_ptr<torch::optim::Optimizer> make_critic_optimiser(const std::vector<torch::Tensor>& parameters,
                                                               double rate, double weight_decay) {
  return std::make_unique<torch::optim::Adam>(
      parameters, torch::optim::AdamOptions(rate).betas({0.5, 0.9}).weight_decay(weight_decay));
}

std::vector<torch::Tensor> learned_parameters(const torch::nn::Module& module) {
  std::vector<torch::Tensor> learned = module.parameters();
  std::erase_if(learned, [](const torch::Tensor& parameter) { return !parameter.requires_grad(); });
  return learned;
}

}  // namespace gauntlet::models
