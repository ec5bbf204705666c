// Small models and inputs that every registered entry can be tried on.
#pragma once

#include <gmock/gmock.h>

#include <map>
#include <memory>
#include <set>
#include <string>

#include "core/collective/communicator.hpp"
#include "core/models/hashing_model.hpp"
#include "core/torch.hpp"

namespace gauntlet::testing {

inline constexpr std::int64_t kToyPx = 16;
inline constexpr std::int64_t kToyTextDim = 12;
inline constexpr std::int64_t kToyLabels = 4;
inline constexpr std::int64_t kToyBits = 16;

inline models::ModelShape toy_shape() {
  return {.image_px = kToyPx, .text_dim = kToyTextDim, .n_labels = kToyLabels, .code_bits = kToyBits};
}

/// The entry's settings for small pictures, with everything that costs time made small where it has such a
/// field.
inline Json toy_config(const EntryInfo& about) {
  static const std::map<std::string, Json> kSmall = {
      {"width", 4},        {"backbone_width", 4}, {"hidden", 16},      {"epochs", 2},       {"batch_size", 8},
      {"warmup_steps", 2}, {"steps", 4},          {"proxy_epochs", 1}, {"proxy_hidden", 16}};
  Json config = Json::object();
  const Json by_dataset =
      about.dataset_defaults.empty() ? Json::object() : Json::parse(about.dataset_defaults);
  if (by_dataset.contains("picto_scenes")) config = by_dataset["picto_scenes"];
  for (const FieldInfo& field : about.fields()) {
    if (const auto small = kSmall.find(field.name); small != kSmall.end()) config[field.name] = small->second;
  }
  return config;
}

/// n training pairs whose pictures and texts follow from their labels.
inline models::TrainingBatch toy_pairs(std::int64_t n, std::uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  models::TrainingBatch pairs;
  pairs.labels = torch::rand({n, kToyLabels}, generator).gt(0.6).to(torch::kFloat32);
  pairs.labels.select(1, 0).logical_or_(pairs.labels.sum(1).eq(0));
  const torch::Tensor pattern = torch::rand({kToyLabels, 3 * kToyPx * kToyPx}, generator);
  const torch::Tensor noise = torch::rand({n, 3 * kToyPx * kToyPx}, generator);
  pairs.images = (0.2 * pairs.labels.matmul(pattern) + 0.2 * noise).clamp(0, 1).view({n, 3, kToyPx, kToyPx});
  const torch::Tensor words = torch::rand({kToyLabels, kToyTextDim}, generator).gt(0.6).to(torch::kFloat32);
  pairs.text = pairs.labels.matmul(words).gt(0).to(torch::kFloat32);
  pairs.rows = torch::arange(n);
  return pairs;
}

inline models::TrainingBatch rows_of(const models::TrainingBatch& pairs, std::int64_t begin,
                                     std::int64_t end) {
  return {pairs.images.slice(0, begin, end), pairs.text.slice(0, begin, end),
          pairs.labels.slice(0, begin, end), pairs.rows.slice(0, begin, end)};
}

inline models::TrainingBatch in_double(models::TrainingBatch pairs) {
  pairs.images = pairs.images.to(torch::kFloat64);
  pairs.text = pairs.text.to(torch::kFloat64);
  pairs.labels = pairs.labels.to(torch::kFloat64);
  return pairs;
}

inline std::shared_ptr<models::HashingModel> toy_model(const models::ModelEntry& entry, std::uint64_t seed,
                                                       collective::Communicator* communicator) {
  torch::manual_seed(seed);
  auto model = entry.make(toy_config(entry.about), toy_shape(), communicator);
  EXPECT_TRUE(model) << (model ? "" : model.error().message);
  return *model;
}

inline std::unique_ptr<models::ModelTraining> toy_training(const models::ModelEntry& entry,
                                                           const std::shared_ptr<models::HashingModel>& model,
                                                           const models::TrainingBatch& pairs,
                                                           std::int64_t n_steps,
                                                           collective::Communicator* communicator) {
  auto training = entry.make_training(toy_config(entry.about), model,
                                      {.labels = pairs.labels, .seed = 7, .communicator = communicator});
  EXPECT_TRUE(training) << (training ? "" : training.error().message);
  (*training)->begin(n_steps);
  return std::move(*training);
}

/// Whether two modules hold the same bytes.
inline bool same_state(const torch::nn::Module& left, const torch::nn::Module& right) {
  const auto equal = [](const auto& these, const auto& those) {
    if (these.size() != those.size()) return false;
    for (const auto& item : these) {
      if (!item.value().equal(those[item.key()])) return false;
    }
    return true;
  };
  return equal(left.named_parameters(), right.named_parameters()) &&
         equal(left.named_buffers(), right.named_buffers());
}

}  // namespace gauntlet::testing
