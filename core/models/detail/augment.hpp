// Random flips and shifts of training pictures, drawn per picture so that they do not depend on the batch.
#pragma once

#include <cstdint>

#include "core/models/hashing_model.hpp"
#include "core/torch.hpp"

namespace gauntlet::models {

/// The fields a model has for it.
struct Augmentation {
  bool flip = false;  ///< mirror left to right with probability 1/2
  double max_shift =
      0;  ///< largest shift along each axis, as a share of the side; the border is repeated outwards

  static void fields(auto& self, auto& visit) {
    visit("augment_flip", self.flip, {.doc = "Mirror training pictures with probability 1/2."});
    visit(
        "augment_shift", self.max_shift,
        {.doc = "Largest random shift of training pictures, as a share of the side.", .min = 0, .max = 0.5});
  }
};

/// What a model's config asks for: nothing when its backbone is frozen, since its features are computed once.
template <class Config>
[[nodiscard]] Augmentation augmentation_of(const Config& config) {
  return config.backbone.is_frozen() ? Augmentation{} : config.augmentation;
}

/// images [B, 3, H, W] float or double → the same shape in channels-last memory. Picture i draws from the
/// stream of (seed, step, rows[i]); rows [B] int64.
[[nodiscard]] torch::Tensor augmented(const torch::Tensor& images, const torch::Tensor& rows,
                                      const Augmentation& augmentation, std::uint64_t seed,
                                      std::int64_t step);

/// The batch with its pictures moved; as it is where nothing moves or images are features.
[[nodiscard]] TrainingBatch augmented(const TrainingBatch& batch, const Augmentation& augmentation,
                                      std::uint64_t seed, std::int64_t step);

}  // namespace gauntlet::models
