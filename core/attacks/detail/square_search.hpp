// Random search without gradients (Square Attack's geometry, Andriushchenko et al., ECCV 2020), with an
// acceptance rule for scores that change by jumps: an equal move passes, or the search freezes on a plateau.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "core/attacks/detail/projection.hpp"
#include "core/torch.hpp"

namespace gauntlet::attacks {

/// Share of the values that iteration `iteration` (from 0) of `n_iterations` changes: 0.8, halved at 10, 50,
/// 200, 500, 1,000, 2,000, 4,000, 6,000 and 8,000 ten-thousandths of the way.
[[nodiscard]] double square_share(std::int64_t iteration, std::int64_t n_iterations);

/// What inputs [b, …] of the batch's items [b] are worth: [b] double, less is better.
struct Judged {
  torch::Tensor score;
  torch::Tensor done;  ///< [b] bool: nothing is left to gain
};
using Judge = std::function<Judged(const torch::Tensor& inputs, const torch::Tensor& items)>;

struct SquareSettings {
  std::int64_t n_iterations = 5000;
  Ball ball;
  bool on_grid = false;  ///< the judge is always given inputs on the grid of k/255
  std::uint64_t seed = 0;
};

struct SquareOutcome {
  torch::Tensor inputs;     ///< [B, …] where the search of each ended
  torch::Tensor n_queries;  ///< [B] double: inputs that were judged
};

/// Pictures [B, C, H, W] start as vertical stripes and change by squares, other inputs [B, D] by coordinates.
/// Item i draws from the stream of (seed, rows[i]).
[[nodiscard]] SquareOutcome square_search(const torch::Tensor& clean, std::span<const std::int64_t> rows,
                                          const Judge& judge, const SquareSettings& settings);

}  // namespace gauntlet::attacks
