// The methods as one writes them first, to measure against: batches of 24 as the releases have them,
// gradients of everything, masks made anew in each step, one forward for each half, default memory order. The
// numbers they give are those of our loops up to rounding.
#pragma once

#include <functional>
#include <memory>

#include "core/defenses/defense.hpp"
#include "core/models/hashing_model.hpp"
#include "core/torch.hpp"

namespace gauntlet::run {

inline constexpr std::int64_t kPlainBatch = 24;

/// What the loops work on.
struct PlainTarget {
  std::shared_ptr<models::HashingModel> model;  ///< weights not frozen, as in the releases
  torch::Tensor train_codes_image, train_codes_text, train_labels;
};

/// Codes of `inputs` batch by batch, with the graph kept until the batch is done.
[[nodiscard]] torch::Tensor plain_encode(models::HashingModel& model, Modality modality,
                                         const torch::Tensor& inputs);

/// PGD on DRFGD's attack loss (Eq. 1): n_steps signed steps from the clean input. [B, …] → [B, …].
[[nodiscard]] torch::Tensor plain_pgd(const PlainTarget& target, Modality modality,
                                      const torch::Tensor& inputs, const torch::Tensor& labels,
                                      std::int64_t n_steps, double epsilon, double step);

}  // namespace gauntlet::run
