#include "core/attacks/detail/code_ascent.hpp"

#include <memory>

#include "core/base/random.hpp"

namespace gauntlet::attacks {

using torch::Tensor;

void Draws::each(std::uint64_t step, const std::function<void()>& pass) const {
  if (!use) {
    pass();
    return;
  }
  for (std::int64_t draw = 0; draw < n; ++draw) {
    use(RandomStream::of(seed, frozen ? 0 : step, static_cast<std::uint64_t>(draw)).next());
    pass();
  }
}

Ascent code_ascent(Encode encode, CodeObjective objective, Draws draws, Penalty penalty) {
  return [encode = std::move(encode), objective = std::move(objective), draws = std::move(draws),
          penalty = std::move(penalty),
          step = std::uint64_t{0}](const Tensor& inputs, const Tensor& items) mutable {
    Slope sum;
    draws.each(step++, [&] {
      const torch::AutoGradMode with_gradient(true);
      const Tensor leaf = inputs.detach().requires_grad_();
      Tensor value = objective(encode(leaf), items);
      if (penalty) value = value - penalty(leaf).to(value.options().requires_grad(false));
      Tensor gradient;
      if (value.requires_grad()) {
        gradient = torch::autograd::grad({value.sum()}, {leaf}, /*grad_outputs=*/{}, /*retain_graph=*/{},
                                         /*create_graph=*/false, /*allow_unused=*/true)
                       .front();
      }
      if (!gradient.defined()) gradient = torch::zeros_like(inputs);
      sum.value = sum.value.defined() ? sum.value + value.detach() : value.detach();
      sum.gradient = sum.gradient.defined() ? sum.gradient + gradient : gradient;
    });
    const auto n = static_cast<double>(draws.count());
    return Slope{sum.value / n, sum.gradient / n};
  };
}

}  // namespace gauntlet::attacks
