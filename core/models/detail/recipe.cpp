#include "core/models/detail/recipe.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/check.hpp"

namespace gauntlet::models {
namespace {

constexpr double kPolyPower = 0.9;
constexpr double kLeastRate = 1e-6;

template <class Options>
std::vector<torch::optim::OptimizerParamGroup> groups_with(
    const std::vector<std::vector<torch::Tensor>>& groups, const Options& options) {
  std::vector<torch::optim::OptimizerParamGroup> made;
  for (const std::vector<torch::Tensor>& parameters : groups) {
    made.emplace_back(parameters, std::make_unique<Options>(options));
  }
  return made;
}

}  // namespace

void TrainingClock::visit_state(StateVisitor& visitor) {
  visitor.number("step", step);
  visitor.number("n_steps", n_steps);
  visitor.number("epoch", epoch);
}

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

double learning_rate_of(const torch::optim::Optimizer& optimiser, std::size_t group) {
  return optimiser.param_groups().at(group).options().get_lr();
}

std::unique_ptr<torch::optim::Optimizer> AdamConfig::make(
    const std::vector<torch::Tensor>& parameters) const {
  return std::make_unique<torch::optim::Adam>(
      parameters, torch::optim::AdamOptions(lr).betas({beta1, beta2}).weight_decay(weight_decay));
}

std::unique_ptr<torch::optim::Optimizer> make_optimiser(std::string_view name,
                                                        const std::vector<std::vector<torch::Tensor>>& groups,
                                                        const OptimiserOptions& options) {
  if (name == "adam") {
    const auto adam = torch::optim::AdamOptions(options.rate).weight_decay(options.weight_decay);
    return std::make_unique<torch::optim::Adam>(groups_with(groups, adam), adam);
  }
  const auto sgd =
      torch::optim::SGDOptions(options.rate).momentum(options.momentum).weight_decay(options.weight_decay);
  return std::make_unique<torch::optim::SGD>(groups_with(groups, sgd), sgd);
}

}  // namespace gauntlet::models
