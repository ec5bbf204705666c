#include "core/attacks/detail/eqb2a_knockoff.hpp"

#include <string>
#include <utility>
#include <vector>

#include "core/attacks/detail/in_precision.hpp"
#include "core/base/check.hpp"

namespace gauntlet::attacks::eqb2a {
namespace {

using torch::Tensor;

torch::optim::Adam adam_of(const torch::nn::Module& module, double learning_rate, const Config& config) {
  std::vector<Tensor> trained;
  for (const Tensor& parameter : module.parameters()) {
    if (parameter.requires_grad()) trained.push_back(parameter);
  }
  return torch::optim::Adam(std::move(trained),
                            torch::optim::AdamOptions(learning_rate).betas({config.beta1, config.beta2}));
}

}  // namespace

Tensor spread_positions(std::int64_t n_items, std::int64_t n_spread) {
  GAUNTLET_CHECK(n_items >= 1 && n_spread >= 2);
  return (torch::arange(n_spread, torch::kLong) * (n_items - 1)).div(n_spread - 1, "floor");
}

RankedSample sample_of(const Tensor& query, const Tensor& lists, std::int64_t n_near, std::int64_t n_spread) {
  GAUNTLET_CHECK(lists.size(1) >= n_near);
  return {.query = query,
          .near = lists.slice(1, 0, n_near).contiguous(),
          .spread = lists.index_select(1, spread_positions(lists.size(1), n_spread))};
}

Tensor rank_tuples(const RankedSample& sample) {
  const std::int64_t n_spread = sample.spread.size(1);
  std::vector<Tensor> pairs;
  for (std::int64_t i = 0; i < n_spread; ++i) {
    for (std::int64_t j = i + 1; j < n_spread; ++j) {
      pairs.push_back(torch::stack({sample.query, sample.spread.select(1, i), sample.spread.select(1, j),
                                    torch::full_like(sample.query, j - i)},
                                   1));
    }
  }
  return torch::stack(pairs, 1).flatten(0, 1);
}

ImageKnockoff::ImageKnockoff(std::shared_ptr<models::Backbone> backbone, std::int64_t hidden,
                             std::int64_t code_bits, double dropout)
    : dropout_(dropout),
      backbone_(register_module("backbone", std::move(backbone))),
      fc1_(register_module("fc1", torch::nn::Linear(backbone_->n_features(), hidden))),
      fc2_(register_module("fc2", torch::nn::Linear(hidden, code_bits))) {}

Tensor ImageKnockoff::forward(const Tensor& input) {
  const Tensor features = models::through_backbone(*backbone_, input);
  const Tensor wide = torch::dropout(torch::relu(fc1_->forward(features)), dropout_, is_training());
  return torch::tanh(fc2_->forward(wide));
}

TextKnockoff::TextKnockoff(std::int64_t text_dim, std::int64_t hidden, std::int64_t code_bits, double dropout)
    : dropout_(dropout),
      fc1_(register_module("fc1", torch::nn::Linear(text_dim, hidden))),
      fc2_(register_module("fc2", torch::nn::Linear(hidden, hidden))),
      fc3_(register_module("fc3", torch::nn::Linear(hidden, code_bits))) {}

Tensor TextKnockoff::forward(const Tensor& text) {
  const Tensor wide = torch::relu(fc2_->forward(torch::relu(fc1_->forward(text))));
  return torch::tanh(fc3_->forward(torch::dropout(wide, dropout_, is_training())));
}

bool has_constant_features(const models::Backbone& backbone, const Config& config) {
  return config.backbone.is_frozen() && (!config.backbone_batch_statistics || backbone.buffers().empty());
}

KnockoffTrainer::KnockoffTrainer(const Config& config, Knockoffs knockoffs, Items items)
    : config_(config),
      knockoffs_(std::move(knockoffs)),
      items_(std::move(items)),
      text_optimizer_(adam_of(*knockoffs_.text, config.lr_text, config)),
      image_optimizer_(adam_of(*knockoffs_.image, config.lr_image, config)) {}

void KnockoffTrainer::visit_state(models::StateVisitor& visitor) {
  visitor.optimiser("text_optimiser", text_optimizer_);
  visitor.optimiser("image_optimiser", image_optimizer_);
}

Tensor KnockoffTrainer::codes(Modality modality, const Tensor& positions) const {
  return in_precision(config_.precision.value(), items_(modality, positions), [&](const Tensor& inputs) {
    return modality == Modality::kImage ? knockoffs_.image->forward(inputs)
                                        : knockoffs_.text->forward(inputs);
  });
}

Tensor KnockoffTrainer::objective(Modality asked, const Tensor& tuples, StepLosses& losses) const {
  const auto columns = tuples.unbind(1);
  const Tensor query = codes(asked, columns[0]);
  const Tensor nearer = codes(other(asked), columns[1]);
  const Tensor farther = codes(other(asked), columns[2]);
  const Tensor rank = ranking(code_distance(query, nearer), code_distance(query, farther),
                              config_.knockoff_rank_margin, columns[3].to(query.scalar_type()));
  const Tensor balanced = balance(query);
  const Tensor quantised = quantisation(query);
  const std::string direction = "_" + std::string(name_of(asked));
  losses["rank" + direction] = rank.detach();
  losses["balance" + direction] = balanced.detach();
  losses["quantisation" + direction] = quantised.detach();
  return config_.knockoff_rank_weight * rank + config_.knockoff_balance_weight * balanced +
         config_.knockoff_quantisation_weight * quantised;
}

StepLosses KnockoffTrainer::step(const Tensor& text_tuples, const Tensor& image_tuples) {
  StepLosses losses;
  Tensor total = objective(Modality::kText, text_tuples, losses);
  total = total + objective(Modality::kImage, image_tuples, losses);
  text_optimizer_.zero_grad();
  image_optimizer_.zero_grad();
  total.backward();
  text_optimizer_.step();
  image_optimizer_.step();
  losses["total"] = total.detach();
  return losses;
}

}  // namespace gauntlet::attacks::eqb2a
