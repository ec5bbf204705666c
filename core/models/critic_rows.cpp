#include "core/models/critic_rows.hpp"

#include "core/models/objectives.hpp"

namespace gauntlet::models {

CriticRows critic_rows(const std::function<torch::Tensor(const torch::Tensor&)>& critic,
                       const torch::Tensor& real, const torch::Tensor& fake, const torch::Tensor& mix) {
  const torch::Tensor real_input = real.detach(), fake_input = fake.detach();
  CriticRows rows{log1p_exp(-critic(real_input)), log1p_exp(critic(fake_input)), {}};
  const torch::Tensor point = (mix * real_input + (1 - mix) * fake_input).detach().requires_grad_();
  const torch::Tensor gradient =
      torch::autograd::grad({critic(point).sum()}, {point}, {}, /*retain_graph=*/true, /*create_graph=*/true)
          .front();
  rows.penalty = (gradient.norm(2, 1) - 1).square();
  return rows;
}

}  // namespace gauntlet::models
