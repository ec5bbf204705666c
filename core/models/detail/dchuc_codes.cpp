#include <algorithm>

#include "core/models/detail/dchuc.hpp"
#include "core/models/losses.hpp"
#include "core/models/objectives.hpp"

namespace gauntlet::models {
namespace {

constexpr std::int64_t kChunk = 1024;  // rows of S at a time

}  // namespace

DchucSimilarity::DchucSimilarity(const torch::Tensor& labels)
    : labels_(labels), labelled_(labelled_items(labels)) {
  double n_similar = 0;
  for (const torch::Tensor& chunk : labels_.split(kChunk)) {
    n_similar += relevance_mask(chunk, labels_).sum().item<double>();
  }
  const double n_labelled = labelled_.sum().item<double>();
  dissimilar_ = -n_similar / std::max(1.0, n_labelled * n_labelled - n_similar);
}

torch::Tensor DchucSimilarity::rows(const torch::Tensor& labels) const {
  const torch::Tensor similar = relevance_mask(labels, labels_).to(labels_.scalar_type());
  return (similar * (1 - dissimilar_) + dissimilar_) * labelled_.t();
}

torch::Tensor DchucSimilarity::transposed_product(const torch::Tensor& relaxed) const {
  torch::Tensor product = torch::zeros_like(relaxed);
  for (std::int64_t first = 0; first < relaxed.size(0); first += kChunk) {
    const std::int64_t end = std::min(first + kChunk, relaxed.size(0));
    product += rows(labels_.slice(0, first, end)).t().matmul(relaxed.slice(0, first, end));
  }
  return product;
}

torch::Tensor dchuc_unified_codes(const torch::Tensor& codes, const DchucRelaxed& relaxed,
                                  const torch::Tensor& label_map, const torch::Tensor& labels,
                                  const DchucSimilarity& similarity, const DchucWeights& weights) {
  const std::int64_t n_bits = codes.size(1);
  const torch::Tensor sum = relaxed.image + relaxed.text;
  const torch::Tensor linear = -2 * static_cast<double>(n_bits) * similarity.transposed_product(sum) -
                               weights.gamma * sum - 2 * weights.beta * labels.matmul(label_map.t());
  torch::Tensor quadratic = relaxed.image.t().matmul(relaxed.image) + relaxed.text.t().matmul(relaxed.text) +
                            weights.beta * label_map.matmul(label_map.t());
  quadratic.fill_diagonal_(0);  // a bit does not act on itself
  torch::Tensor updated = codes.clone();
  for (std::int64_t bit = 0; bit < n_bits; ++bit) {
    const torch::Tensor slope = linear.select(1, bit) + 2 * updated.matmul(quadratic.select(1, bit));
    updated.select(1, bit).copy_(signs(-slope));
  }
  return updated * similarity.labelled();
}

torch::Tensor dchuc_label_map(const torch::Tensor& codes, const DchucRelaxed& relaxed,
                              const torch::Tensor& labels, const DchucWeights& weights) {
  const torch::Tensor gram = relaxed.image.t().matmul(relaxed.image) + relaxed.text.t().matmul(relaxed.text);
  const torch::Tensor left = weights.alpha * gram + weights.beta * codes.t().matmul(codes) +
                             weights.eta * torch::eye(codes.size(1), codes.options());
  const torch::Tensor right = (weights.alpha * (relaxed.image + relaxed.text) + weights.beta * codes).t();
  return torch::linalg_solve(left, right.matmul(labels));
}

}  // namespace gauntlet::models
