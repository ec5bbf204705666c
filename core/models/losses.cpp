#include "core/models/losses.hpp"

#include <limits>

#include "core/models/objectives.hpp"

namespace gauntlet::models {

torch::Tensor relevance_mask(const torch::Tensor& labels, const torch::Tensor& train_labels) {
  return labels.matmul(train_labels.to(labels.scalar_type()).t()).gt(0.5);
}

RepelAttract::RepelAttract(const torch::Tensor& code_sum, const torch::Tensor& attract,
                           const torch::Tensor& repel, double tau)
    : complete_(attract.any(1).logical_and(repel.any(1))),
      scaled_codes_(code_sum / (2.0 * static_cast<double>(code_sum.size(1)) * tau)) {
  const torch::Tensor weights = attract.to(code_sum.scalar_type());
  scaled_center_ = weights.matmul(scaled_codes_) / weights.sum(1, true).clamp_min(1);
  // Samples without a set keep every item, so that their unused value and its gradient stay finite.
  const torch::Tensor open = repel.logical_or(complete_.logical_not().unsqueeze(1));
  closed_ = torch::zeros(repel.sizes(), code_sum.options())
                .masked_fill_(open.logical_not(), -std::numeric_limits<double>::infinity());
}

torch::Tensor RepelAttract::exponent(const torch::Tensor& u) const {
  // The mean over the attracting items is the same for every repelling one, so it leaves the sum of
  // exponentials.
  return torch::addmm(closed_, u, scaled_codes_.t()).logsumexp(1) - (u * scaled_center_).sum(1);
}

torch::Tensor RepelAttract::logsumexp(const torch::Tensor& u) const {
  const torch::Tensor value = exponent(u);
  return torch::where(complete_, value, torch::zeros_like(value));
}

torch::Tensor RepelAttract::loss(const torch::Tensor& u) const {
  const torch::Tensor value = exponent(u);
  return torch::where(complete_, log1p_exp(value), torch::zeros_like(value));
}

torch::Tensor repel_attract_logsumexp(const torch::Tensor& u, const torch::Tensor& code_sum,
                                      const torch::Tensor& attract, const torch::Tensor& repel, double tau) {
  return RepelAttract(code_sum, attract, repel, tau).logsumexp(u);
}

torch::Tensor repel_attract_loss(const torch::Tensor& u, const torch::Tensor& code_sum,
                                 const torch::Tensor& attract, const torch::Tensor& repel, double tau) {
  return RepelAttract(code_sum, attract, repel, tau).loss(u);
}

}  // namespace gauntlet::models
