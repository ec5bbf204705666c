#include "core/models/detail/daph_losses.hpp"

#include <cmath>

#include "core/models/objectives.hpp"

namespace gauntlet::models {
namespace {

// Logit of what does not take part. Finite, so that a row in which nothing takes part keeps finite gradients.
constexpr double kClosed = -1e30;

/// log of the sum of exponentials over the allowed columns, [B].
torch::Tensor masked_logsumexp(const torch::Tensor& logits, const torch::Tensor& allowed) {
  return logits.masked_fill(allowed.logical_not(), kClosed).logsumexp(1);
}

/// Sum over items of the mean over own classes.
torch::Tensor sum_of_own_means(const torch::Tensor& values, const torch::Tensor& labels) {
  return ((values * labels).sum(1) / labels.sum(1)).sum();
}

}  // namespace

torch::Tensor proxy_term(const torch::Tensor& codes, const torch::Tensor& classes,
                         const torch::Tensor& labels, const DaphScale& scale, const ProxyTermForm& form) {
  const torch::Tensor similarity = codes.matmul(classes.t());
  const torch::Tensor near = scale.gamma * (similarity - scale.sigma);
  const torch::Tensor n_own = labels.sum(1);
  torch::Tensor others = masked_logsumexp(scale.gamma * similarity, labels.lt(0.5));
  if (form.counts_own) others = torch::logaddexp(others, n_own.log());
  if (form.eps <= 0) return sum_of_own_means(log1p_exp(others.unsqueeze(1) - near), labels);

  const torch::Tensor share = near.exp() / (near.exp() + others.exp().unsqueeze(1) + form.eps);
  torch::Tensor loss = sum_of_own_means(-(share + form.eps).log(), labels);
  if (form.counts_foreign) {
    loss = loss - std::log1p(form.eps) * ((static_cast<double>(labels.size(1)) - n_own) / n_own).sum();
  }
  return loss;
}

torch::Tensor class_separation(const torch::Tensor& classes) {
  const torch::Tensor identity = torch::eye(classes.size(0), classes.options());
  return torch::relu(classes.matmul(classes.t()) - identity).square().sum();
}

torch::Tensor binary_gap(const torch::Tensor& codes) {
  const double root = std::sqrt(static_cast<double>(codes.size(1)));
  return ((codes * signs(codes.detach())).sum(1) / root - 1).square().sum();
}

torch::Tensor bit_imbalance(const torch::Tensor& codes) { return codes.sum(0).square().sum(); }

AnchorSets anchor_sets(const torch::Tensor& labels, const torch::Tensor& anchor_labels, bool subset,
                       double eps) {
  const torch::Tensor shared = labels.matmul(anchor_labels.t());
  AnchorSets sets;
  sets.positive = shared.eq(labels.sum(1, true));
  if (!subset) sets.positive.logical_and_(shared.eq(anchor_labels.sum(1)));
  sets.negative = shared.eq(0);
  sets.partial = sets.positive.logical_or(sets.negative).logical_not_();
  sets.positive_pairs = sets.positive.nonzero();
  sets.partial_weights = shared * sets.partial / (shared.sum(1, true) + eps);
  sets.closed = torch::zeros_like(shared).masked_fill_(sets.negative.logical_not(), kClosed);
  return sets;
}

AnchorLoss anchor_loss(const torch::Tensor& codes, const torch::Tensor& anchors, const AnchorSets& sets,
                       const DaphScale& scale) {
  // The negatives are most of the training set, so theirs is the only similarity of every item to every
  // anchor.
  const auto n_bits = static_cast<double>(codes.size(1));
  const torch::Tensor others =
      torch::addmm(sets.closed, codes, anchors.t(), 1, scale.gamma / n_bits).logsumexp(1);
  const auto term = [&](const torch::Tensor& against, const torch::Tensor& similarity) {
    return log1p_exp(against - scale.gamma * (similarity - scale.sigma));
  };
  const torch::Tensor item = sets.positive_pairs.select(1, 0);
  const torch::Tensor near = anchors.index_select(0, sets.positive_pairs.select(1, 1));
  const torch::Tensor terms =
      term(others.index_select(0, item), (codes.index_select(0, item) * near).sum(1) / n_bits);
  const torch::Tensor n_positive = sets.positive.sum(1).to(codes.scalar_type());
  AnchorLoss loss;
  loss.full = (terms / n_positive.index_select(0, item)).sum() / static_cast<double>(codes.size(0));

  const torch::Tensor has_partial = sets.partial.any(1).to(codes.scalar_type());
  const torch::Tensor weighted = (codes * sets.partial_weights.matmul(anchors)).sum(1) / n_bits;
  loss.partial = (term(others, weighted) * has_partial).sum() / has_partial.sum().clamp_min(1);
  return loss;
}

torch::Tensor class_loss(const torch::Tensor& codes, const torch::Tensor& classes,
                         const torch::Tensor& labels, const DaphScale& scale) {
  const torch::Tensor similarity = codes.matmul(classes.t()) / static_cast<double>(codes.size(1));
  const torch::Tensor others = masked_logsumexp(scale.gamma * similarity, labels.lt(0.5));
  const torch::Tensor own = (similarity * labels).sum(1) / labels.sum(1);
  return log1p_exp(others - scale.gamma * (own - scale.sigma)).mean();
}

}  // namespace gauntlet::models
