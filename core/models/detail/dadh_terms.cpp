#include "core/models/detail/dadh.hpp"

namespace gauntlet::models {

torch::Tensor cosine_distances(const torch::Tensor& anchors, const torch::Tensor& targets) {
  return (1 - unit_rows(anchors).matmul(unit_rows(targets).t())).clamp_min(0);
}

LabelOverlap::LabelOverlap(const torch::Tensor& anchors, const torch::Tensor& labels)
    : shared(anchors.matmul(labels.t())), similar(shared.gt(0.5).to(labels.scalar_type())) {
  const torch::Tensor gains = torch::exp2(shared) - 1;
  const torch::Tensor discounts =
      torch::log2(1 + torch::arange(1, labels.size(0) + 1, labels.options())).reciprocal();
  ideal = std::get<0>(gains.sort(1, /*descending=*/true)).matmul(discounts);
  weights = gains / ideal.unsqueeze(1);
}

torch::Tensor weighted_triplets(const torch::Tensor& anchors, const torch::Tensor& targets,
                                const LabelOverlap& overlap, double margin) {
  const torch::Tensor distances = cosine_distances(anchors, targets);
  const torch::Tensor hinges = torch::relu(distances.unsqueeze(2) - distances.unsqueeze(1) + margin);
  const torch::Tensor over_dissimilar = hinges.matmul((1 - overlap.similar).unsqueeze(2)).squeeze(2);
  return (overlap.weights * over_dissimilar).sum();
}

CodeUpdate update_codes(const torch::Tensor& labels, const torch::Tensor& codes, const torch::Tensor& image,
                        const torch::Tensor& text, double ridge, double weight) {
  const torch::Tensor gram = labels.t().matmul(labels) + ridge * torch::eye(labels.size(1), labels.options());
  CodeUpdate update;
  update.projection = torch::linalg_solve(gram, labels.t().matmul(codes));
  update.relaxed = labels.matmul(update.projection) + 0.5 * weight * (image + text);
  update.codes = signs(update.relaxed);
  return update;
}

}  // namespace gauntlet::models
