// Greedy changes of single words of binary texts.
#pragma once

#include <cstdint>

#include "core/attacks/detail/apgd.hpp"
#include "core/torch.hpp"

namespace gauntlet::attacks {

struct FlipSettings {
  std::int64_t n_words = 4;       ///< changed at most
  std::int64_t n_candidates = 8;  ///< tried per change, those the gradient promises most of
};

/// Texts [B, D] of 0 and 1 → the same with words added and taken away. One word per round, the best of the
/// candidates where it gains; then every changed word in turn is given up for the best other one, where that
/// gains. `ascent`: what is maximised.
[[nodiscard]] torch::Tensor flipped_words(const torch::Tensor& clean, const Ascent& ascent,
                                          const FlipSettings& settings);

}  // namespace gauntlet::attacks
