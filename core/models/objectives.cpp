#include "core/models/objectives.hpp"

#include "core/models/critic_rows.hpp"

namespace gauntlet::models {
namespace {

constexpr double kLeastNorm = 1e-12;

}  // namespace

torch::Tensor log1p_exp(const torch::Tensor& x) { return -torch::log_sigmoid(-x); }

torch::Tensor pairwise_likelihood(const torch::Tensor& theta, const torch::Tensor& similar) {
  return (log1p_exp(theta) - similar * theta).sum();
}

CriticLoss critic_loss(const Critic& critic, const torch::Tensor& real, const torch::Tensor& fake,
                       const torch::Tensor& mix, double penalty_weight) {
  const CriticRows rows = critic_rows(critic, real, fake, mix);
  return {rows.real.mean(), rows.fake.mean(), penalty_weight * rows.penalty.mean()};
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
