#include "core/models/losses.hpp"

#include <limits>

#include "core/models/detail/objectives.hpp"

namespace gauntlet::models {
namespace {

struct Terms {
  torch::Tensor logsumexp;  ///< [B], finite
  torch::Tensor complete;   ///< bool [B]: neither set is empty
};

Terms repel_attract_terms(const torch::Tensor& u, const torch::Tensor& code_sum, const torch::Tensor& attract,
                          const torch::Tensor& repel, double tau) {
  const torch::Tensor complete = attract.any(1).logical_and(repel.any(1));
  const torch::Tensor weights = attract.to(u.scalar_type());
  const torch::Tensor center = weights.matmul(code_sum) / weights.sum(1, true).clamp_min(1);  // [B, K]
  const double scale = 1.0 / (2.0 * static_cast<double>(u.size(1)) * tau);
  const torch::Tensor exponent = (u.matmul(code_sum.t()) - (u * center).sum(1, true)) * scale;  // [B, N]
  // Samples without a set keep every exponent, so that their unused value and its gradient stay finite.
  const torch::Tensor counted = repel.logical_or(complete.logical_not().unsqueeze(1));
  const torch::Tensor masked =
      exponent.masked_fill(counted.logical_not(), -std::numeric_limits<double>::infinity());
  return {masked.logsumexp(1), complete};
}

}  // namespace

torch::Tensor relevance_mask(const torch::Tensor& labels, const torch::Tensor& train_labels) {
  return labels.matmul(train_labels.to(labels.scalar_type()).t()).gt(0.5);
}

torch::Tensor repel_attract_logsumexp(const torch::Tensor& u, const torch::Tensor& code_sum,
                                      const torch::Tensor& attract, const torch::Tensor& repel, double tau) {
  const Terms terms = repel_attract_terms(u, code_sum, attract, repel, tau);
  return torch::where(terms.complete, terms.logsumexp, torch::zeros_like(terms.logsumexp));
}

torch::Tensor repel_attract_loss(const torch::Tensor& u, const torch::Tensor& code_sum,
                                 const torch::Tensor& attract, const torch::Tensor& repel, double tau) {
  const Terms terms = repel_attract_terms(u, code_sum, attract, repel, tau);
  return torch::where(terms.complete, log1p_exp(terms.logsumexp), torch::zeros_like(terms.logsumexp));
}

}  // namespace gauntlet::models
