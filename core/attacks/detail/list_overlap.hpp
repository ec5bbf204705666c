// What two ranked lists have in common, the top counting most.
#pragma once

#include <cstdint>

#include "core/torch.hpp"

namespace gauntlet::attacks {

/// The first n (all where M < n) items of the database codes [M, K] ±1, nearest to each code [B, K] ±1 first,
/// ties by index: [B, n] int64.
[[nodiscard]] torch::Tensor first_items(const torch::Tensor& codes, const torch::Tensor& database,
                                        std::int64_t n);

/// Σ over the items in both lists [B, n] of 1 / (log2(1+r) log2(1+r')), ranks r, r' from 1, divided by what a
/// list has with itself: [B] double in [0, 1].
[[nodiscard]] torch::Tensor list_overlap(const torch::Tensor& list, const torch::Tensor& other);

}  // namespace gauntlet::attacks
