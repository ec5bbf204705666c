#include "core/attacks/mainstay_code.hpp"

namespace gauntlet::attacks {
namespace {

/// Two means that are equal differ by rounding, which depends on how many label vectors stand in a batch; of
/// means that are not, none are this close.
constexpr double kTie = 1e-9;

constexpr double kTurned = -0.5;  // agreement at and below which a bit counts as turned

/// weights [B, N] · codes [N, K], divided by the weights' sums; 0 where these are 0.
torch::Tensor weighted_mean(const torch::Tensor& weights, const torch::Tensor& codes) {
  const torch::Tensor sums = weights.sum(1, /*keepdim=*/true);
  return weights.matmul(codes) / torch::where(sums > 0, sums, torch::ones_like(sums));
}

}  // namespace

torch::Tensor mainstay_before_sign(const torch::Tensor& labels, const torch::Tensor& train_labels,
                                   const torch::Tensor& codes) {
  const torch::Tensor shared = labels.matmul(train_labels.t());
  const torch::Tensor norms = labels.norm(2, 1, true).matmul(train_labels.norm(2, 1, true).t());
  const torch::Tensor cosine = shared / torch::where(norms > 0, norms, torch::ones_like(norms));
  const torch::Tensor unrelated = shared.eq(0).to(codes.scalar_type());
  return weighted_mean(cosine, codes) - weighted_mean(unrelated, codes);
}

torch::Tensor mainstay_code(const torch::Tensor& labels, const torch::Tensor& train_labels,
                            const torch::Tensor& codes) {
  const torch::Tensor exact = mainstay_before_sign(
      labels.to(torch::kFloat64), train_labels.to(torch::kFloat64), codes.to(torch::kFloat64));
  return signs(exact - kTie).to(codes.scalar_type());
}

torch::Tensor agreement_terms(const torch::Tensor& u, const torch::Tensor& c, Agreement form) {
  const torch::Tensor s = u * c;
  if (form == Agreement::kPlain) return s;
  return torch::where(s > kTurned, s * (s + 2), torch::zeros_like(s));
}

torch::Tensor mean_agreement(const torch::Tensor& u, const torch::Tensor& c, Agreement form) {
  const torch::Tensor terms = agreement_terms(u, c, form);
  if (form == Agreement::kPlain) return terms.mean();
  return terms.sum() / (u * c).detach().gt(kTurned).sum().clamp_min(1);
}

}  // namespace gauntlet::attacks
