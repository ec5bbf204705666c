#include "core/attacks/detail/bit_loss.hpp"

#include "core/attacks/detail/sharpening.hpp"

namespace gauntlet::attacks {
namespace {

constexpr double kTurned = -0.5;
constexpr double kLeastScale = 1e-12;

torch::Tensor weighted_mean(const torch::Tensor& terms, const torch::Tensor& weights) {
  return (weights.defined() ? terms * weights : terms).mean(1);
}

}  // namespace

torch::Tensor bit_loss(const torch::Tensor& o) {
  const torch::Tensor m = o.clamp_min(kTurned);
  return m * m + 2 * m;
}

torch::Tensor away_from(const torch::Tensor& code, const torch::Tensor& anchor,
                        const torch::Tensor& weights) {
  return -weighted_mean(bit_loss(code * anchor), weights);
}

torch::Tensor toward(const torch::Tensor& code, const torch::Tensor& anchor, const torch::Tensor& weights) {
  return -weighted_mean(bit_loss(-code * anchor), weights);
}

torch::Tensor before_tanh(const torch::Tensor& code) { return torch::atanh(unsaturated(code)); }

torch::Tensor margin(const torch::Tensor& logits, const torch::Tensor& clean_logits) {
  const torch::Tensor scale = clean_logits.abs().mean(1, /*keepdim=*/true).clamp_min(kLeastScale);
  return -(clean_logits.sign() * logits / scale).clamp_min(kTurned).mean(1);
}

torch::Tensor off_the_nearest(const torch::Tensor& code, const torch::Tensor& codes,
                              const torch::Tensor& repel, double tau) {
  const auto k = static_cast<double>(code.size(1));
  const torch::Tensor scaled = code.matmul(codes.t()) / (2 * k * tau);  // s/τ and a constant that cancels
  const torch::Tensor others = repel.logical_not();
  const torch::Tensor n_others = others.sum(1);
  const torch::Tensor center = (scaled * others.to(scaled.scalar_type())).sum(1) / n_others.clamp_min(1);
  const torch::Tensor complete = repel.any(1).logical_and(n_others.gt(0));
  // An empty set gives -inf, whose gradient is NaN: all items stand in for it, and the result is dropped.
  const torch::Tensor open = repel.logical_or(complete.logical_not().unsqueeze(1));
  const torch::Tensor sums =
      scaled.masked_fill(open.logical_not(), -std::numeric_limits<double>::infinity()).logsumexp(1);
  return torch::where(complete, center - sums, torch::zeros_like(center));
}

}  // namespace gauntlet::attacks
