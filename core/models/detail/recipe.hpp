// What the training recipes of target models share: learning rates over a run, optimisers, augmentation.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace gauntlet::models {

/// The fields a model has for its learning rate over time; `doc` says what its choices mean.
struct RateConfig {
  std::string schedule = "step";
  std::int64_t warmup_steps = 0;

  static void fields(auto& self, auto& visit, std::string_view doc, std::vector<std::string> choices) {
    visit("schedule", self.schedule, {.doc = doc, .choices = std::move(choices)});
    visit("warmup_steps", self.warmup_steps,
          {.doc = "Steps over which the learning rate rises linearly to its value.", .min = 0, .max = 1e9});
  }
};

/// Where schedule "step" lowers the rate: after `first` epochs and every `every` epochs from there on.
struct RateDrops {
  std::int64_t first = 1, every = 1;
  double factor = 1;
};

/// How far a run is; `epoch` counts finished epochs.
struct TrainingClock {
  std::int64_t step = 0, n_steps = 0, epoch = 0;
};

/// The rate of the coming step: `rate` under "step" (drops, at least 1e-6), "poly" (rate (1 -
/// step/n_steps)^0.9) or "constant", times the share of the warm-up.
[[nodiscard]] double learning_rate(const RateConfig& config, double rate, const TrainingClock& clock,
                                   const RateDrops& drops = {});

/// Of every parameter group.
void set_learning_rate(torch::optim::Optimizer& optimiser, double rate);

/// "adam" (betas 0.9 and 0.999) or "sgd" (no momentum); weight decay is L2 added to the gradient.
[[nodiscard]] std::unique_ptr<torch::optim::Optimizer> make_optimiser(
    std::string_view name, const std::vector<torch::Tensor>& parameters, double rate, double weight_decay);

/// Adam as discriminators of CPAH and DADH have it: betas 0.5 and 0.9.
[[nodiscard]] std::unique_ptr<torch::optim::Optimizer> make_critic_optimiser(
    const std::vector<torch::Tensor>& parameters, double rate, double weight_decay);

/// Parameters that learn: those of a frozen backbone do not.
[[nodiscard]] std::vector<torch::Tensor> learned_parameters(const torch::nn::Module& module);

}  // namespace gauntlet::models
