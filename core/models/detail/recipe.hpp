// What the training recipes of target models share: learning rates over a run, optimisers.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/models/state.hpp"
#include "core/torch.hpp"

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
  void visit_state(StateVisitor& visitor);
};

/// The rate of the coming step: `rate` under "step" (drops, at least 1e-6), "poly" (rate (1 -
/// step/n_steps)^0.9) or any other name (as it is), times the share of the warm-up.
[[nodiscard]] double learning_rate(const RateConfig& config, double rate, const TrainingClock& clock,
                                   const RateDrops& drops = {});

/// Of every parameter group.
void set_learning_rate(torch::optim::Optimizer& optimiser, double rate);
/// What a group's last step was taken with.
[[nodiscard]] double learning_rate_of(const torch::optim::Optimizer& optimiser, std::size_t group = 0);

/// The fields a model has for one Adam; names start with `prefix`, `of` says whose it is.
struct AdamConfig {
  double lr = 1e-4;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double weight_decay = 0;

  static void fields(auto& self, auto& visit, std::string_view prefix, std::string_view of) {
    const auto field = [&](std::string_view name, double& value, std::string_view what, double max) {
      visit(fmt::format("{}{}", prefix, name), value,
            {.doc = fmt::format("{} of {}.", what, of), .min = 0, .max = max});
    };
    field("lr", self.lr, "Learning rate (Adam)", 1);
    field("adam_beta1", self.beta1, "First decay of Adam", 0.9999);
    field("adam_beta2", self.beta2, "Second decay of Adam", 0.9999999);
    field("weight_decay", self.weight_decay, "L2 added to the gradients", 1);
  }

  [[nodiscard]] std::unique_ptr<torch::optim::Optimizer> make(
      const std::vector<torch::Tensor>& parameters) const;
};

/// "adam" (betas 0.9 and 0.999) or "sgd"; weight decay is L2 added to the gradient. One group of parameters
/// for each entry of `groups`.
struct OptimiserOptions {
  double rate = 0, weight_decay = 0, momentum = 0;
};
[[nodiscard]] std::unique_ptr<torch::optim::Optimizer> make_optimiser(
    std::string_view name, const std::vector<std::vector<torch::Tensor>>& groups,
    const OptimiserOptions& options);

}  // namespace gauntlet::models
