#include "core/defenses/detail/tpap_purifier.hpp"

#include "core/attacks/mainstay_code.hpp"

namespace gauntlet::defenses {

using torch::Tensor;

Tensor NearestCode::index_of(const Tensor& u) const {
  const Tensor signs = attacks::signs(u.detach());
  const Tensor distance = -signs.matmul(codes.to(signs.options()).t());
  return std::get<1>(distance.sort(/*stable=*/true, /*dim=*/1, /*descending=*/false)).select(1, 0);
}

Tensor NearestCode::of(const Tensor& u) const {
  return mainstay.to(u.options()).index_select(0, index_of(u));
}

Tensor signed_step_up(const Tensor& x, const std::function<Tensor(const Tensor&)>& loss,
                      const attacks::Ball& ball) {
  const Tensor delta =
      attacks::descend(x, torch::zeros_like(x), [&](const Tensor& input) { return -loss(input); },
                       {ball, /*step=*/ball.epsilon, /*n_steps=*/1});
  return attacks::applied(x, delta, ball);
}

Tensor purified_by_step(const Tensor& x, const std::function<Tensor(const Tensor&)>& encode,
                        const std::function<Tensor(const Tensor&)>& code, const attacks::Ball& ball) {
  // Summed, not averaged, over bits: saturated codes have very small gradients.
  const auto disagreement = [&](const Tensor& input) {
    const Tensor u = encode(input);
    return -(u * code(u.detach())).sum(1);
  };
  return signed_step_up(x, disagreement, ball);
}

Tensor unrolled_step(const Tensor& x, const std::function<Tensor(const Tensor&)>& encode,
                     const attacks::Ball& ball) {
  constexpr double kLeastMedian = 1e-20;  // an input without a gradient stays where it is
  const torch::AutoGradMode with_gradient(true);
  const Tensor input = x.requires_grad() ? x : x.detach().requires_grad_();
  const Tensor u = encode(input);  // tanh z: the step's own pseudo code is its sign, held constant
  const Tensor loss = -(u * u).sum();
  const Tensor gradient = torch::autograd::grad({loss}, {input}, /*grad_outputs=*/{}, /*retain_graph=*/true,
                                                /*create_graph=*/true)
                              .front();
  const Tensor median = std::get<0>(gradient.detach().flatten(1).abs().median(1)).clamp_min(kLeastMedian);
  std::vector<std::int64_t> per_input(static_cast<std::size_t>(x.dim()), 1);
  per_input.front() = x.size(0);
  const Tensor step = ball.epsilon * torch::tanh(gradient / median.view(per_input));
  return (input + step).clamp(ball.low, ball.high);
}

}  // namespace gauntlet::defenses
