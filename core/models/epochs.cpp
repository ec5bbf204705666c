#include "core/models/epochs.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
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
  const torch::Tensor picked = stored.index_select(0, index).to(options.device());  // bytes travel as bytes
  torch::Tensor inputs = picked.to(options);
  if (inputs.dim() != 4) return inputs;
  if (picked.scalar_type() == torch::kByte) inputs = inputs / 255;
  return inputs.contiguous(torch::MemoryFormat::ChannelsLast);
}

void EpochLosses::add(const std::map<std::string, torch::Tensor>& losses) {
  torch::Tensor all;
  for (const auto& [name, value] : losses) {
    const torch::Tensor loss = value.detach();
    auto& [sum, count] = sums_[name];
    sum = sum.defined() ? sum + loss : loss;
    ++count;
    all = all.defined() ? all + loss : loss;
  }
  if (all.defined()) finite_.push_back(all.isfinite());  // read only if it is asked for: no wait for a device
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

std::int64_t EpochLosses::first_bad_step(collective::Communicator& communicator) const {
  constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
  const auto bad =
      std::ranges::find_if(finite_, [](const torch::Tensor& finite) { return !finite.item<bool>(); });
  const std::int64_t own = bad == finite_.end() ? kNever : bad - finite_.begin() + 1;
  const std::int64_t first = communicator.gather_rows(torch::full({1}, own)).min().item<std::int64_t>();
  return first == kNever ? 0 : first;
}

void add_to_curves(std::map<std::string, std::vector<float>>& curves, const Losses& means) {
  for (const auto& [name, value] : means) curves[name].push_back(static_cast<float>(value));
}

}  // namespace gauntlet::models
