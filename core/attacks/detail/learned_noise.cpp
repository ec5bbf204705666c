#include "core/attacks/detail/learned_noise.hpp"

#include <cmath>

namespace gauntlet::attacks {
namespace {

/// Adam on one tensor.
class Adam {
 public:
  explicit Adam(const NoiseSearch& search) : search_(search) {}

  /// What to subtract.
  torch::Tensor step(const torch::Tensor& gradient) {
    if (!first_.defined()) {
      first_ = torch::zeros_like(gradient);
      second_ = torch::zeros_like(gradient);
    }
    ++n_steps_;
    first_.mul_(search_.beta1).add_(gradient, 1 - search_.beta1);
    second_.mul_(search_.beta2).addcmul_(gradient, gradient, 1 - search_.beta2);
    const auto n = static_cast<double>(n_steps_);
    const double first_share = 1 - std::pow(search_.beta1, n);
    const double second_root = std::sqrt(1 - std::pow(search_.beta2, n));
    if (search_.adam == AdamForm::kTensorFlow) {
      return first_ * (search_.lr * second_root / first_share) / (second_.sqrt() + search_.adam_epsilon);
    }
    return first_ * (search_.lr / first_share) / (second_.sqrt() / second_root + search_.adam_epsilon);
  }

 private:
  const NoiseSearch& search_;
  torch::Tensor first_, second_;
  std::int64_t n_steps_ = 0;
};

}  // namespace

torch::Tensor clamp_inclusive(const torch::Tensor& data, double low, double high) {
  const torch::Tensor values = data.detach();
  return torch::where(values.ge(low).logical_and(values.le(high)), data, values.clamp(low, high));
}

NoiseLoss noise_loss(const torch::Tensor& code, const NoisePairs& pairs, const torch::Tensor& change) {
  const torch::Tensor to_other = code.matmul(pairs.codes_other.t());
  const torch::Tensor to_own = code.matmul(pairs.codes_own.t());
  const torch::Tensor cross = torch::softplus(-to_other) + pairs.similar * to_other;
  const torch::Tensor own = torch::softplus(to_own) - pairs.similar * to_own;
  return {(pairs.weights * cross).sum(1), (pairs.weights * own).sum(1), change.abs().flatten(1).mean(1)};
}

LearnedNoise learn_noise(
    const torch::Tensor& clean, const NoiseSearch& search,
    const std::function<torch::Tensor(const torch::Tensor& data, const torch::Tensor& change)>& loss) {
  Adam adam(search);
  LearnedNoise noise{torch::zeros_like(clean), torch::zeros_like(clean)};
  for (std::int64_t step = 0; step < search.n_steps; ++step) {
    const torch::AutoGradMode with_gradient(true);
    const torch::Tensor learned = noise.clipped.detach().requires_grad_();
    const torch::Tensor data = clamp_inclusive(clean + learned, search.data_low, search.data_high);
    const torch::Tensor gradient = torch::autograd::grad({loss(data, data - clean)}, {learned}).front();
    const torch::NoGradGuard no_grad;
    noise.unclipped = learned.detach() - adam.step(gradient);
    noise.clipped = noise.unclipped.clamp(search.noise_low, search.noise_high);
  }
  return noise;
}

}  // namespace gauntlet::attacks
