// Values and gradients of an objective on codes, through a pipeline that may be random.
#pragma once

#include <cstdint>
#include <functional>

#include "core/attacks/detail/apgd.hpp"
#include "core/attacks/detail/code_goals.hpp"

namespace gauntlet::attacks {

/// Which random draws the passes of an attack use. What an attack chooses by and what it is judged by are
/// other draws than those it climbs on.
struct Draws {
  std::function<void(std::uint64_t draw)> use = {};  ///< empty: nothing is random
  std::uint64_t seed = 0;
  std::int64_t n = 1;   ///< per step
  bool frozen = false;  ///< the same at every step

  /// The n passes of step `step`: calls `pass` once per draw; once in all where nothing is random.
  void each(std::uint64_t step, const std::function<void()>& pass) const;
  [[nodiscard]] std::int64_t count() const { return use ? n : 1; }
};

using Encode = std::function<torch::Tensor(const torch::Tensor& inputs)>;

/// [B, …] inputs → [B]: what their value is lowered by, whatever their codes.
using Penalty = std::function<torch::Tensor(const torch::Tensor& inputs)>;

/// The mean over draws of the objective, less the penalty if there is one, and of its gradient at the input.
/// A pipeline that gives none gives zeros.
[[nodiscard]] Ascent code_ascent(Encode encode, CodeObjective objective, Draws draws, Penalty penalty = {});

}  // namespace gauntlet::attacks
