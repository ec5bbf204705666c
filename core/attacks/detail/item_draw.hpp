// Drawing some of many items.
#pragma once

#include <cstdint>

#include "core/base/random.hpp"
#include "core/torch.hpp"

namespace gauntlet::attacks {

/// n of the items [m] int64 without repetition, each equally likely; all of them where m < n.
[[nodiscard]] torch::Tensor drawn_items(const torch::Tensor& items, std::int64_t n, RandomStream stream);

}  // namespace gauntlet::attacks
