// Forward passes of the attacks' own networks in the arithmetic that the field `precision` asks for.
#pragma once

#include "core/models/precision.hpp"
#include "core/torch.hpp"

namespace gauntlet::attacks {

/// What `forward` gives under `precision`, in the type of the `input` it reads, so that losses and target
/// models never see a lower one.
template <class Forward>
[[nodiscard]] torch::Tensor in_precision(models::Precision precision, const torch::Tensor& input,
                                         const Forward& forward) {
  torch::Tensor output;
  {
    const models::PrecisionScope scope(precision, input.device().type());
    output = forward(input);
  }
  return output.to(input.scalar_type());
}

}  // namespace gauntlet::attacks
