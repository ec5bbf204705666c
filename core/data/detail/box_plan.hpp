// How an array with the items on its last axis is cut into boxes that fit memory.
#pragma once

#include <cstdint>
#include <vector>

#include "core/io/container.hpp"

namespace gauntlet::data::detail {

/// The sides of boxes, in the array's axes: multiples of the chunk's sides, grown along the items first, then
/// from the fastest axis on, while a box has at most `n_most` elements. `n_items`: how many of the last axis
/// are wanted.
[[nodiscard]] std::vector<std::int64_t> box_sides(const io::ArrayInfo& array, std::int64_t n_items,
                                                  std::int64_t n_most);

/// Calls `visit(slab)` for each box of the axes before the last, slowest axis first; the last axis is left at
/// [0, 0).
void for_each_box(const io::ArrayInfo& array, const std::vector<std::int64_t>& sides, const auto& visit) {
  const std::size_t n_axes = array.dims.size() - 1;
  io::Slab slab{std::vector<std::int64_t>(n_axes + 1, 0), std::vector<std::int64_t>(n_axes + 1, 0)};
  while (true) {
    for (std::size_t axis = 0; axis < n_axes; ++axis)
      slab.count[axis] = std::min(sides[axis], array.dims[axis] - slab.start[axis]);
    visit(slab);
    std::size_t axis = n_axes;
    while (axis > 0 && (slab.start[axis - 1] += sides[axis - 1]) >= array.dims[axis - 1]) {
      slab.start[axis - 1] = 0;
      --axis;
    }
    if (axis == 0) return;
  }
}

}  // namespace gauntlet::data::detail
