#pragma once

#include "tests/robustness/support.hpp"

namespace gauntlet::attacks {

/// Pictures of 8 px on the grid of grey levels, made of large patches, so that a blur leaves them what they
/// are.
inline Target pictures() {
  Target target({3, 8, 8}, 8, 4, 10, 4, 0);
  torch::manual_seed(11);
  const torch::Tensor prototypes =
      (0.25 + 0.5 * torch::rand({4, 3, 2, 2})).repeat_interleave(4, 2).repeat_interleave(4, 3);
  target.database = items_around(prototypes, 10, 0.03);
  target.queries = items_around(prototypes, 4, 0.03);
  target.queries.inputs = (target.queries.inputs * 255).round() / 255;
  return target;
}

}  // namespace gauntlet::attacks
