#include "core/models/objectives.hpp"

namespace gauntlet::models {
namespace {

constexpr double kLeastNorm = 1e-12;

}  // namespace

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

CriticLoss critic_loss(const Critic& critic, const torch::Tensor& real, const torch::Tensor& fake,
                       const torch::Tensor& mix, double penalty_weight) {
  const torch::Tensor real_input = real.detach();
  const torch::Tensor fake_input = fake.detach();
  return {log1p_exp(-critic(real_input)).mean(), log1p_exp(critic(fake_input)).mean(),
          penalty_weight * gradient_penalty(critic, real_input, fake_input, mix)};
}

torch::Tensor quantisation_loss(const torch::Tensor& codes, const torch::Tensor& image,
                                const torch::Tensor& text) {
  return (codes - image).square().sum() + (codes - text).square().sum();
}

torch::Tensor unit_rows(const torch::Tensor& x) { return x / x.norm(2, 1, true).clamp_min(kLeastNorm); }

torch::Tensor signs(const torch::Tensor& x) {
  return torch::where(x > 0, torch::ones_like(x), -torch::ones_like(x));
}

torch::Tensor codes_of_visited(const torch::Tensor& image, const torch::Tensor& text,
                               const torch::Tensor& codes) {
  return torch::where(image.ne(0).any(1, true), signs(image + text), codes);
}

}  // namespace gauntlet::models
