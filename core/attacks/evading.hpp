// Attacks that keep an eye on a detector. An attack that can is found by a dynamic_cast; any other goes
// against a defense that refuses queries as if it answered them all.
#pragma once

#include <functional>

#include "core/torch.hpp"

namespace gauntlet::attacks {

/// [B, …] inputs → [B], differentiable; refused where above 0.
using RefusalScore = std::function<torch::Tensor(const torch::Tensor& inputs)>;

/// [B] bool, on the CPU: whether each input is refused; a score that is no number refuses too.
inline torch::Tensor refused_by(const RefusalScore& score, const torch::Tensor& inputs) {
  return score(inputs).le(0).logical_not().to(torch::kCPU);
}

class Evading {
 public:
  virtual ~Evading() = default;
  /// To be called before the first batch; outlives the attack.
  virtual void evade(RefusalScore score) = 0;
};

}  // namespace gauntlet::attacks
