#include "core/models/rank_means.hpp"

namespace gauntlet::models {

std::vector<double> means_over_ranks(collective::Communicator& ranks,
                                     const std::vector<torch::Tensor>& scalars) {
  torch::Tensor means = torch::stack(scalars).detach().to(torch::kFloat64);
  ranks.all_reduce_sum_(means);
  means = (means / ranks.world_size()).cpu();
  return {means.const_data_ptr<double>(), means.const_data_ptr<double>() + means.numel()};
}

torch::Tensor with_value_of_all(collective::Communicator& ranks, const torch::Tensor& share) {
  if (ranks.world_size() == 1) return share;
  return share - share.detach() + means_over_ranks(ranks, {share}).front();
}

}  // namespace gauntlet::models
