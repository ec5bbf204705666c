#include "core/attacks/detail/eqb2a_perturbation.hpp"

#include <string>

#include "core/attacks/detail/in_precision.hpp"

namespace gauntlet::attacks::eqb2a {
namespace {

using torch::Tensor;

constexpr std::size_t kLinearLayer = 1;  // of the supervisor's full layers: the one without tanh

ConvShape keeping_size(std::int64_t in, std::int64_t out) {
  return {.in = in, .out = out, .kernel = 3, .padding = 1, .bias = true};
}
ConvShape halving(std::int64_t in, std::int64_t out) {
  return {.in = in, .out = out, .kernel = 4, .stride = 2, .padding = 1, .bias = true};
}

/// Every place four times, as nearest-neighbour interpolation does.
Tensor doubled(const Tensor& maps) {
  return torch::upsample_nearest2d(maps, {2 * maps.size(2), 2 * maps.size(3)});
}

std::vector<Tensor> parameters_of(const torch::nn::Module& first, const torch::nn::Module& second) {
  std::vector<Tensor> all = first.parameters();
  const std::vector<Tensor> more = second.parameters();
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace

PerturbationGenerator::PerturbationGenerator(const std::array<std::int64_t, 3>& channels)
    : conv1_(register_module("conv1", make_conv(keeping_size(3, channels[0])))),
      conv2_(register_module("conv2", make_conv(halving(channels[0], channels[1])))),
      conv3_(register_module("conv3", make_conv(halving(channels[1], channels[2])))),
      res1_(register_module("res1", std::make_shared<ResidualBlock>(channels[2], BlockNorm::kBatch))),
      res2_(register_module("res2", std::make_shared<ResidualBlock>(channels[2], BlockNorm::kBatch))),
      up_(register_module("up", std::make_shared<torch::nn::Module>())),
      up1_(up_->register_module("conv1", make_conv(keeping_size(channels[2], channels[1])))),
      up2_(up_->register_module("conv2", make_conv(keeping_size(channels[1], channels[0])))),
      up3_(up_->register_module("conv3", make_conv(keeping_size(channels[0], 3)))) {}

Tensor PerturbationGenerator::forward(const Tensor& u) {
  Tensor x = relu_of_norm(conv1_->forward(u));
  x = relu_of_norm(conv2_->forward(x));
  x = relu_of_norm(conv3_->forward(x));
  x = res2_->forward(res1_->forward(x));
  x = relu_of_norm(up1_->forward(doubled(x)));
  x = relu_of_norm(up2_->forward(doubled(x)));
  return relu_of_norm(up3_->forward(x));
}

PerturbationSupervisor::PerturbationSupervisor(const SupervisorLayout& layout)
    : conv1_(register_module("conv1", make_conv(halving(3, layout.channels[0])))),
      conv2_(register_module("conv2", make_conv(halving(layout.channels[0], layout.channels[1])))),
      bn1_(register_module("bn1", torch::nn::BatchNorm2d(layout.channels[0]))),
      bn2_(register_module("bn2", torch::nn::BatchNorm2d(layout.channels[1]))) {
  const std::int64_t side = layout.image_px / 4;
  std::int64_t in = layout.channels[1] * side * side;
  for (const std::int64_t out : {layout.full[0], layout.full[1], layout.full[2], layout.code_bits}) {
    full_.push_back(register_module("fc" + std::to_string(full_.size() + 1), torch::nn::Linear(in, out)));
    in = out;
  }
}

Tensor PerturbationSupervisor::forward(const Tensor& perturbation) {
  const Tensor half = torch::tanh(bn1_->forward(conv1_->forward(perturbation)));
  const Tensor quarter = torch::tanh(bn2_->forward(conv2_->forward(half)));
  Tensor x = quarter.contiguous().flatten(1);
  for (std::size_t i = 0; i < full_.size(); ++i) {
    x = full_[i]->forward(x);
    if (i != kLinearLayer) x = torch::tanh(x);
  }
  return x;
}

Tensor perturbation_rows(const RankedSample& sample) {
  const Tensor tuples = rank_tuples(sample);
  const std::int64_t n_pairs = tuples.size(0) / sample.query.size(0);
  return torch::cat({tuples.slice(1, 0, 1), sample.near.repeat_interleave(n_pairs, 0), tuples.slice(1, 1, 3)},
                    1);
}

PerturbationTrainer::PerturbationTrainer(const Config& config,
                                         std::shared_ptr<PerturbationGenerator> generator,
                                         std::shared_ptr<PerturbationSupervisor> supervisor,
                                         Tensor text_codes)
    : config_(config),
      generator_(std::move(generator)),
      supervisor_(std::move(supervisor)),
      text_codes_(std::move(text_codes)),
      optimizer_(parameters_of(*generator_, *supervisor_),
                 torch::optim::AdamOptions(config.lr_perturbation).betas({config.beta1, config.beta2})) {}

void PerturbationTrainer::visit_state(models::StateVisitor& visitor) {
  visitor.optimiser("optimiser", optimizer_);
}

StepLosses PerturbationTrainer::step(const Tensor& u, const Tensor& rows) {
  const std::int64_t n_columns = rows.size(1);
  const Tensor near = rows.slice(1, 1, n_columns - 2);
  const auto to_spread_item = [&](const Tensor& codes, std::int64_t column) {
    return code_distance(codes, text_codes_.index_select(0, rows.select(1, column)));
  };
  const Tensor codes = in_precision(config_.precision.value(), u, [this](const Tensor& pictures) {
    return supervisor_->forward(generator_->forward(pictures));
  });
  const Tensor away = alienation(codes, text_codes_.index({near}), config_.perturbation_alienation_margin);
  // The order of the target's list, reversed: item j shall come before item i.
  const Tensor reversed = ranking(to_spread_item(codes, n_columns - 1), to_spread_item(codes, n_columns - 2),
                                  config_.perturbation_rank_margin);
  const Tensor quantised = quantisation(codes);
  const Tensor total = config_.perturbation_alienation_weight * away +
                       config_.perturbation_rank_weight * reversed +
                       config_.perturbation_quantisation_weight * quantised;
  optimizer_.zero_grad();
  total.backward();
  optimizer_.step();
  return {{"alienation", away.detach()},
          {"ranking", reversed.detach()},
          {"quantisation", quantised.detach()},
          {"total", total.detach()}};
}

}  // namespace gauntlet::attacks::eqb2a
