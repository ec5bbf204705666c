#include "core/attacks/detail/projection.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "core/attacks/detail/one_pass.hpp"
#include "core/base/check.hpp"
#include "core/base/random.hpp"

namespace gauntlet::attacks {
namespace {

constexpr std::uint64_t kStartTag = 0x53544152;  // "STAR"

}  // namespace

torch::Tensor projected(const torch::Tensor& delta, const torch::Tensor& clean, const Ball& ball) {
  return (clean + delta.clamp(-ball.epsilon, ball.epsilon)).clamp_(ball.low, ball.high).sub_(clean);
}

torch::Tensor applied(const torch::Tensor& clean, const torch::Tensor& delta, const Ball& ball) {
  return (clean + delta).clamp_(ball.low, ball.high);
}

torch::Tensor applied_within(const torch::Tensor& clean, const torch::Tensor& delta, const Ball& ball) {
  if (goes_in_one_pass(clean, delta)) {
    const auto low = static_cast<float>(ball.low), high = static_cast<float>(ball.high);
    return in_one_pass(clean, delta, [low, high, epsilon = ball.epsilon](float own, float change) {
      const double center = own, sum = std::min(std::max(own + change, low), high);
      const auto nearest = static_cast<float>(std::min(std::max(sum, center - epsilon), center + epsilon));
      return std::abs(nearest - center) > epsilon ? std::nextafter(nearest, own) : nearest;
    });
  }
  const torch::Tensor sum = applied(clean, delta, ball);
  if (sum.scalar_type() != torch::kFloat32) return sum;
  const torch::Tensor center = clean.to(torch::kFloat64);
  const torch::Tensor nearest =
      sum.to(torch::kFloat64).clamp(center - ball.epsilon, center + ball.epsilon).to(torch::kFloat32);
  const torch::Tensor outside = (nearest.to(torch::kFloat64) - center).abs().gt(ball.epsilon);
  return torch::where(outside, torch::nextafter(nearest, clean), nearest);
}

torch::Tensor random_start(const torch::Tensor& clean, std::span<const std::int64_t> rows, std::uint64_t seed,
                           const Ball& ball) {
  const std::int64_t n_inputs = clean.size(0);
  GAUNTLET_CHECK(static_cast<std::int64_t>(rows.size()) == n_inputs);
  torch::Tensor delta = torch::empty(clean.sizes(), torch::kFloat32);
  const std::int64_t n_values = n_inputs == 0 ? 0 : delta.numel() / n_inputs;
  float* out = delta.mutable_data_ptr<float>();
  at::parallel_for(0, n_inputs, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t item = begin; item < end; ++item) {
      const auto row = static_cast<std::uint64_t>(rows[static_cast<std::size_t>(item)]);
      RandomStream stream = RandomStream::of(seed, kStartTag, row);
      for (std::int64_t value = 0; value < n_values; ++value) {
        out[item * n_values + value] = static_cast<float>((2 * stream.uniform() - 1) * ball.epsilon);
      }
    }
  });
  return projected(delta.to(clean.device(), clean.scalar_type()), clean, ball);
}

torch::Tensor descend(const torch::Tensor& clean, const torch::Tensor& start,
                      const std::function<torch::Tensor(const torch::Tensor&)>& loss,
                      const SignDescent& descent) {
  torch::Tensor delta = start;
  for (std::int64_t step = 0; step < descent.n_steps; ++step) {
    const torch::AutoGradMode with_gradient(true);
    const torch::Tensor input = (clean + delta).detach().requires_grad_();
    const torch::Tensor gradient = torch::autograd::grad({loss(input).sum()}, {input}).front();
    const torch::NoGradGuard no_grad;
    delta = projected(delta - descent.step * gradient.sign(), clean, descent.ball);
  }
  return delta;
}

}  // namespace gauntlet::attacks
