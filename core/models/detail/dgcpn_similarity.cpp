#include <algorithm>
#include <cmath>

#include "core/models/detail/dgcpn.hpp"

namespace gauntlet::models {
namespace {

/// F_t and F_v side by side, scaled so that one inner product adds both shares.
torch::Tensor shared_features(const torch::Tensor& image, const torch::Tensor& text, double text_share) {
  std::vector<torch::Tensor> scaled;
  const auto add = [&](const torch::Tensor& features, double share) {
    if (share > 0) scaled.push_back(torch::nn::functional::normalize(features) * std::sqrt(share));
  };
  add(text, text_share);
  add(image, 1 - text_share);
  return torch::cat(scaled, 1);
}

}  // namespace

DgcpnSimilarity::DgcpnSimilarity(const torch::Tensor& image, const torch::Tensor& text,
                                 const DgcpnGraph& graph)
    : graph_(graph), features_(shared_features(image, text, graph.text_share)) {
  const std::int64_t n_items = features_.size(0);
  const auto n_kept = std::clamp<std::int64_t>(
      std::llround(graph.neighbour_share * static_cast<double>(n_items)), 1, n_items);
  n_neighbours_ = static_cast<double>(n_kept);
  const torch::Tensor similar = features_.matmul(features_.t());
  const auto [values, columns] = similar.topk(n_kept, 1);
  neighbourhoods_ = torch::zeros_like(similar).scatter_(1, columns, values).fill_diagonal_(0);
  // Rows of similarities at least 0 sum to 1. Pixels can also disagree, so their weights are divided by
  // absolute sums.
  neighbourhoods_ /= neighbourhoods_.abs().sum(1, true).clamp_min(1e-12);
}

torch::Tensor DgcpnSimilarity::among(const torch::Tensor& rows) const {
  const auto products = [&](const torch::Tensor& all) {
    const torch::Tensor picked = all.index_select(0, rows);
    return picked.matmul(picked.t());
  };
  const torch::Tensor neighbours = graph_.neighbour_factor * n_neighbours_ * products(neighbourhoods_);
  return 2 * ((1 - graph_.neighbour_weight) * products(features_) + graph_.neighbour_weight * neighbours) - 1;
}

}  // namespace gauntlet::models
