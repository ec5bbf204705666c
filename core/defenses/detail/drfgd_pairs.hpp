// What DRFGD trains on: clean inputs with their adversarial twins.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/defenses/defense.hpp"
#include "core/defenses/detail/drfgd_config.hpp"
#include "core/defenses/detail/drfgd_trainer.hpp"
#include "core/torch.hpp"

namespace gauntlet::defenses {

/// The attack that makes the twins; its options are the fields craft_….
inline constexpr std::string_view kDrfgdCrafter = "pgd";

/// [0,1] as every input crosses interfaces ↔ the generator's domain: [-1,1] for pictures (channels-last),
/// unchanged for texts.
[[nodiscard]] torch::Tensor to_domain(Modality modality, const torch::Tensor& input);
[[nodiscard]] torch::Tensor from_domain(Modality modality, const torch::Tensor& output);

class TrainingPairs {
 public:
  /// The first `n_train` pairs of the setup, which outlives this object; `options` is what batches are made
  /// of.
  TrainingPairs(const DefenseTraining& setup, const DrfgdConfig& config, const torch::TensorOptions& options);

  [[nodiscard]] std::int64_t size() const { return size_; }

  /// Rows (positions in the training set) of a global batch, in the generator's domain.
  [[nodiscard]] DrfgdBatch batch(std::span<const std::int64_t> rows, std::int64_t global_size) const;

  /// Makes all twins again, by the attack that made the first ones; `number` (from 1) chooses the random
  /// starts. Every rank makes its share and gets all. They are rounded to 127 steps of the largest
  /// perturbation, as the first ones are in their file, so that both kinds are equally exact. A row's twin
  /// depends on its position and `number` only.
  [[nodiscard]] Status refresh(std::int64_t number);

 private:
  [[nodiscard]] torch::Tensor clean(std::span<const std::int64_t> rows) const;

  const DefenseTraining& setup_;
  const DrfgdConfig& config_;
  torch::TensorOptions options_;
  std::int64_t size_;
  double low_;             ///< least valid value of an input
  torch::Tensor crafted_;  ///< int8 steps
  double crafted_scale_;
};

}  // namespace gauntlet::defenses
