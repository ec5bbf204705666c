#include "core/models/epochs.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/base/random.hpp"

namespace gauntlet::models {

std::vector<std::int64_t> shuffled_rows(std::int64_t n, std::uint64_t seed, std::uint64_t purpose,
                                        std::int64_t epoch) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  RandomStream random = RandomStream::of(seed, purpose, static_cast<std::uint64_t>(epoch));
  for (std::size_t left = order.size(); left > 1; --left) {
    std::swap(order[left - 1], order[random.below(static_cast<std::uint32_t>(left))]);
  }
  return order;
}

RankShare share_of_rank(std::int64_t size, const collective::Communicator& communicator) {
  const std::int64_t rank = communicator.rank(), world = communicator.world_size();
  return {size * rank / world, size * (rank + 1) / world};
}

torch::Tensor rows_as_inputs(const torch::Tensor& stored, std::span<const std::int64_t> rows,
                             const torch::TensorOptions& options) {
  const auto index = torch::tensor(std::vector<std::int64_t>(rows.begin(), rows.end()), torch::kLong);
  const torch::Tensor picked = stored.index_select(0, index);
  torch::Tensor inputs = picked.to(options);
  if (inputs.dim() != 4) return inputs;
  if (picked.scalar_type() == torch::kByte) inputs = inputs / 255;
  return inputs.contiguous(torch::MemoryFormat::ChannelsLast);
}

void EpochLosses::add(const std::map<std::string, torch::Tensor>& losses) {
  for (const auto& [name, value] : losses) {
    auto& [sum, count] = sums_[name];
    sum = sum.defined() ? sum + value.detach() : value.detach();
    ++count;
  }
}

Losses EpochLosses::means(collective::Communicator& communicator) const {
  if (sums_.empty()) return {};
  std::vector<torch::Tensor> values;
  for (const auto& [name, sum] : sums_) {
    values.push_back((sum.first / static_cast<double>(sum.second)).to(torch::kCPU, torch::kDouble));
  }
  torch::Tensor all = torch::stack(values);
  communicator.all_reduce_sum_(all);
  all /= static_cast<double>(communicator.world_size());
  Losses means;
  std::int64_t position = 0;
  for (const auto& [name, sum] : sums_) means[name] = all[position++].item<double>();
  return means;
}

Status check_finite(const Losses& means, std::string_view run, std::int64_t epoch, double learning_rate) {
  const auto broken =
      std::ranges::find_if(means, [](const auto& loss) { return !std::isfinite(loss.second); });
  if (broken == means.end()) return {};
  return fail(ErrorCode::kDiverged, "{}: loss '{}' became {} in epoch {}; a smaller lr may help (it is {})",
              run, broken->first, broken->second, epoch, learning_rate);
}

void add_to_curves(std::map<std::string, std::vector<float>>& curves, const Losses& means) {
  for (const auto& [name, value] : means) curves[name].push_back(static_cast<float>(value));
}

}  // namespace gauntlet::models
