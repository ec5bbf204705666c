// Numbers, finite differences and small training runs for the tests of DCMH, DCPH, DCHUC and DGCPN.
#pragma once

#include <gmock/gmock.h>
#include <torch/torch.h>

#include <functional>
#include <memory>

#include "core/models/detail/pair_training.hpp"
#include "tests/support/parity.hpp"

namespace gauntlet::testing {

/// Irregular numbers in (-1, 1), double.
inline torch::Tensor wave(torch::IntArrayRef shape, double frequency) {
  std::int64_t n_values = 1;
  for (const std::int64_t size : shape) n_values *= size;
  return torch::sin((torch::arange(n_values, torch::kFloat64) + 1) * frequency).view(shape);
}

inline double cell(const torch::Tensor& matrix, std::int64_t row, std::int64_t column) {
  return matrix[row][column].item<double>();
}

/// The gradient of the scalar `loss` at `x` (double) against central differences.
inline void expect_gradient(const std::function<torch::Tensor(const torch::Tensor&)>& loss,
                            const torch::Tensor& x, const std::string& name) {
  const torch::Tensor leaf = x.clone().requires_grad_();
  const torch::Tensor gradient = torch::autograd::grad({loss(leaf)}, {leaf}).front();
  torch::Tensor differences = torch::empty_like(x);
  constexpr double kStep = 1e-5;
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    const auto moved = [&](double by) {
      torch::Tensor point = x.clone();
      point.view(-1)[i] += by;
      return loss(point).item<double>();
    };
    differences.view(-1)[i] = (moved(kStep) - moved(-kStep)) / (2 * kStep);
  }
  EXPECT_GT(gradient.abs().max().item<double>(), 0) << name;
  expect_near(gradient, differences, 1e-7, "gradient of " + name);
}

inline constexpr std::int64_t kItems = 10, kFeatures = 5, kWords = 6, kLabels = 3, kBits = 4;

/// Features, texts and labels of ten items; the last one has no label, so no batch may hold it.
inline models::TrainingBatch items() {
  models::TrainingBatch all;
  all.images = wave({kItems, kFeatures}, 0.7);
  all.text = wave({kItems, kWords}, 1.9).gt(0).to(torch::kFloat64);
  all.labels = wave({kItems, kLabels}, 2.3).gt(0.2).to(torch::kFloat64);
  all.labels.select(1, 0).slice(0, 0, 5).fill_(1);
  all.labels.select(1, 1).slice(0, 5, kItems).fill_(1);
  all.labels[kItems - 1].zero_();
  all.rows = torch::arange(kItems);
  return all;
}

inline models::TrainingBatch pick(const models::TrainingBatch& all, const std::vector<std::int64_t>& rows) {
  const torch::Tensor index = torch::tensor(rows);
  return {all.images.index_select(0, index), all.text.index_select(0, index),
          all.labels.index_select(0, index), all.rows.index_select(0, index)};
}

template <class Config>
Config small_config() {
  Config config;
  config.backbone.backbone = "features";
  config.hidden = 8;
  return config;
}

/// A training run in double over items().
template <class Config, class Training>
struct SmallRun {
  explicit SmallRun(const Config& config) {
    torch::manual_seed(1);
    const models::ModelShape shape{
        .feature_dim = kFeatures, .text_dim = kWords, .n_labels = kLabels, .code_bits = kBits};
    const models::ModelEntry& entry = *models::model_registry().find(Config::kName).value();
    net = std::dynamic_pointer_cast<models::PairNet>(
        entry.make(write_config(config), shape, solo.get()).value());
    net->to(torch::kFloat64);
    training = std::make_unique<Training>(
        config, net, models::TrainingSetup{.labels = all.labels, .seed = 3, .communicator = solo.get()});
    training->begin(100);
  }
  std::unique_ptr<collective::Communicator> solo = collective::make_solo_communicator();
  models::TrainingBatch all = items();
  std::shared_ptr<models::PairNet> net;
  std::unique_ptr<Training> training;
};

}  // namespace gauntlet::testing
