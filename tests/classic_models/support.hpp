// Small training runs for the tests of DCMH, DCPH, DCHUC and DGCPN.
#pragma once

#include <gmock/gmock.h>

#include <memory>

#include "core/models/detail/pair_training.hpp"
#include "core/models/objectives.hpp"
#include "core/torch.hpp"
#include "tests/support/gradients.hpp"
#include "tests/support/parity.hpp"

namespace gauntlet::testing {

inline double cell(const torch::Tensor& matrix, std::int64_t row, std::int64_t column) {
  return matrix[row][column].item<double>();
}

inline constexpr std::int64_t kItems = 10, kFeatures = 5, kWords = 6, kLabels = 3, kBits = 4;

/// Features, texts and labels of ten items; the last one has no label, so no batch may hold it.
inline models::TrainingBatch items() {
  models::TrainingBatch all;
  all.images = waves({kItems, kFeatures}, 0.7);
  all.text = waves({kItems, kWords}, 1.9).gt(0).to(torch::kFloat64);
  all.labels = waves({kItems, kLabels}, 2.3).gt(0.2).to(torch::kFloat64);
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
