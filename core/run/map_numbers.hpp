// Numbers that make what a person sees in a pair of heat maps testable.
#pragma once

#include "core/torch.hpp"

namespace gauntlet::run {

/// |A ∩ B| / |A ∪ B| of the places where two maps are highest: the top `share` of the candidates, rounded up,
/// earlier places first among equals, and none where the map is 0. Maps [n] float, `candidates` [n] bool. NaN
/// where there is no candidate, or a map is the same at all of them.
[[nodiscard]] double overlap_of_top(const torch::Tensor& one, const torch::Tensor& other,
                                    const torch::Tensor& candidates, double share);

/// Cosine of the angle between two maps [n]; NaN where one is all 0.
[[nodiscard]] double cosine_of(const torch::Tensor& one, const torch::Tensor& other);

/// Share of a map's mass [n] at the candidates whose change [n] >= 0 is above the median of theirs. NaN for a
/// map without mass there.
[[nodiscard]] double mass_on_change(const torch::Tensor& map, const torch::Tensor& change,
                                    const torch::Tensor& candidates);

}  // namespace gauntlet::run
