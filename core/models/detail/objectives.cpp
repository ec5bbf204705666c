#include "core/models/detail/objectives.hpp"

namespace gauntlet::models {

torch::Tensor log1p_exp(const torch::Tensor& x) { return -torch::log_sigmoid(-x); }

torch::Tensor pairwise_likelihood(const torch::Tensor& theta, const torch::Tensor& similar) {
  return (log1p_exp(theta) - similar * theta).sum();
}

torch::Tensor gradient_penalty(const std::function<torch::Tensor(const torch::Tensor&)>& critic,
                               const torch::Tensor& real, const torch::Tensor& fake,
                               const torch::Tensor& mix) {
  const torch::Tensor point = (mix * real + (1 - mix) * fake).detach().requires_grad_();
  const torch::Tensor gradient =
      torch::autograd::grad({critic(point).sum()}, {point}, {}, /*retain_graph=*/true, /*create_graph=*/true)
          .front();
  return (gradient.norm(2, 1) - 1).square().mean();
}

}  // namespace gauntlet::models
