// What speed is measured on: pairs of noise in the sizes of picto_scenes, and the settings entries have
// there.
#pragma once

#include <cstdint>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/check.hpp"
#include "core/models/epochs.hpp"
#include "core/models/hashing_model.hpp"
#include "core/torch.hpp"

namespace gauntlet::run {

inline constexpr std::int64_t kNoisePairs = 512;
inline constexpr models::ModelShape kNoiseShape{
    .image_px = 48, .feature_dim = 0, .text_dim = 985, .n_labels = 26, .code_bits = 32};

/// The entry's defaults for picto_scenes.
inline Json settings_of(const EntryInfo& about) {
  const Json per_dataset = describe(about).at("dataset_defaults");
  const auto complete =
      complete_config(about.fields(), per_dataset.value("picto_scenes", Json::object()), about.name);
  GAUNTLET_CHECK(complete.has_value());  // a conformance test looks at every entry's defaults
  return *complete;
}

/// The settings with every part of a training `n_epochs` long: rates are what is measured.
inline Json short_settings_of(const EntryInfo& about, std::int64_t n_epochs = 1) {
  Json config = settings_of(about);
  for (auto& [name, value] : config.items()) {
    if (name.find("epochs") != std::string::npos && value.is_number_integer()) value = n_epochs;
    if (name == "iterations") value = 200;
  }
  return config;
}

struct NoisePairs {
  torch::Tensor pictures, texts, labels;  ///< uint8 [n, 3, 48, 48], uint8 [n, 985], float [n, 26]
  torch::Tensor images, text;             ///< the same as models take them
  std::vector<std::int64_t> rows;

  NoisePairs() : rows(kNoisePairs) {
    const std::int64_t px = kNoiseShape.image_px;
    torch::manual_seed(1);
    pictures = torch::randint(0, 256, {kNoisePairs, 3, px, px}, torch::kByte);
    texts = torch::rand({kNoisePairs, kNoiseShape.text_dim}).lt(0.02).to(torch::kByte);
    labels = torch::rand({kNoisePairs, kNoiseShape.n_labels}).lt(0.13).to(torch::kFloat32);
    labels.select(1, 0).fill_(1);
    labels.narrow(0, 0, kNoisePairs / 2).select(1, 0).zero_();
    labels.narrow(0, 0, kNoisePairs / 2).select(1, 1).fill_(1);
    std::iota(rows.begin(), rows.end(), 0);
    const auto options = torch::TensorOptions(torch::kFloat32);
    images = models::rows_as_inputs(pictures, rows, options);
    text = models::rows_as_inputs(texts, rows, options);
  }
  [[nodiscard]] const torch::Tensor& inputs(Modality modality) const {
    return modality == Modality::kImage ? images : text;
  }
};

}  // namespace gauntlet::run
