#include "core/attacks/detail/item_draw.hpp"

#include <algorithm>

namespace gauntlet::attacks {

torch::Tensor drawn_items(const torch::Tensor& items, std::int64_t n, RandomStream stream) {
  torch::Tensor shuffled = items.cpu().contiguous().clone();
  auto* const item = shuffled.mutable_data_ptr<std::int64_t>();
  const std::int64_t n_drawn = std::min(n, items.numel());
  for (std::int64_t at = 0; at < n_drawn; ++at) {
    const auto n_left = static_cast<std::uint32_t>(items.numel() - at);
    std::swap(item[at], item[at + stream.below(n_left)]);
  }
  return shuffled.slice(0, 0, n_drawn).to(items.device());
}

}  // namespace gauntlet::attacks
