// Defenses that may answer a query with a refusal: detectors. A pipeline that can is found by a dynamic_cast,
// so that defenses that always answer have nothing to say.
#pragma once

#include "core/models/hashing_model.hpp"
#include "core/torch.hpp"

namespace gauntlet::defenses {

class Refusing {
 public:
  virtual ~Refusing() = default;
  /// [B, …] queries as submitted → [B] float, what the detector makes of each less its threshold: a query is
  /// refused where this is above 0. Differentiable in the input; a step without a useful gradient passes it
  /// straight through.
  virtual torch::Tensor refusal_score(Modality modality, const torch::Tensor& input) = 0;
};

}  // namespace gauntlet::defenses
