#include "core/attacks/detail/list_overlap.hpp"

namespace gauntlet::attacks {

torch::Tensor first_items(const torch::Tensor& codes, const torch::Tensor& database, std::int64_t n) {
  const std::int64_t n_items = database.size(0);
  const torch::Tensor agreement =
      codes.to(torch::kFloat32).matmul(database.to(torch::kFloat32).t()).round().to(torch::kFloat64);
  // One number per item that orders by agreement, then by index: exact below 2^53.
  const torch::Tensor order =
      agreement * static_cast<double>(n_items) - torch::arange(n_items, torch::kFloat64);
  return std::get<1>(order.topk(std::min(n, n_items), /*dim=*/1));
}

torch::Tensor list_overlap(const torch::Tensor& list, const torch::Tensor& other) {
  const torch::Tensor weight = (torch::arange(1, list.size(1) + 1, torch::kFloat64) + 1).log2().reciprocal();
  const torch::Tensor same = list.unsqueeze(2).eq(other.unsqueeze(1)).to(torch::kFloat64);  // [B, n, n]
  return same.matmul(weight).matmul(weight) / weight.square().sum();
}

}  // namespace gauntlet::attacks
