#include "core/attacks/detail/scheduled_descent.hpp"

#include <vector>

namespace gauntlet::attacks {
namespace {

constexpr double kSmallestNorm = 1e-12;

}  // namespace

Ball ball_of(const AttackSurface& surface, double epsilon_image, double epsilon_text) {
  const bool image = surface.modality == Modality::kImage;
  return {image ? epsilon_image : epsilon_text, surface.input_low, surface.input_high};
}

StepRule signed_steps(double size) {
  return [size](const torch::Tensor& gradient) { return size * gradient.sign(); };
}

StepRule normalized_steps(double size) {
  return [size](const torch::Tensor& gradient) {
    const torch::Tensor norms = gradient.flatten(1).norm(2, 1).clamp_min(kSmallestNorm);
    std::vector<std::int64_t> per_input(static_cast<std::size_t>(gradient.dim()), 1);
    per_input.front() = gradient.size(0);
    return size * gradient / norms.view(per_input);
  };
}

StepRule momentum_steps(double size, double momentum) {
  return [size, momentum, velocity = torch::Tensor()](const torch::Tensor& gradient) mutable {
    velocity = velocity.defined() ? momentum * velocity + gradient : gradient;
    return size * velocity;
  };
}

torch::Tensor descend_scheduled(const torch::Tensor& clean, std::int64_t n_steps, const Ball& ball,
                                const ScheduledLoss& loss, const StepRule& rule) {
  torch::Tensor delta = torch::zeros_like(clean);
  for (std::int64_t step = 0; step < n_steps; ++step) {
    const torch::AutoGradMode with_gradient(true);
    const torch::Tensor inputs = (clean + delta).detach().requires_grad_();
    const torch::Tensor gradient = torch::autograd::grad({loss(inputs, step).sum()}, {inputs}).front();
    const torch::NoGradGuard no_grad;
    delta = projected(delta - rule(gradient), clean, ball);
  }
  return applied_within(clean, delta, ball);
}

}  // namespace gauntlet::attacks
