#include "core/defenses/defense.hpp"

namespace gauntlet::defenses {

torch::Tensor straight_through(const torch::Tensor& input, const torch::Tensor& value) {
  return value.detach() + (input - input.detach());  // the bracket is exactly 0
}

torch::Tensor straight_through(const torch::Tensor& input, const torch::Tensor& value, double low,
                               double high) {
  const torch::Tensor inside = input.detach().ge(low).logical_and(input.detach().le(high));
  return value.detach() + (input - input.detach()) * inside.to(input.scalar_type());
}

torch::Tensor Pipeline::purified_through(Modality modality, const torch::Tensor& input, Backward backward) {
  if (backward != Backward::kIdentity) return purified(modality, input);
  return straight_through(input, purified(modality, input.detach()));
}

}  // namespace gauntlet::defenses
