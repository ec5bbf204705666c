#include "core/data/detail/box_plan.hpp"

#include <algorithm>

namespace gauntlet::data::detail {

std::vector<std::int64_t> box_sides(const io::ArrayInfo& array, std::int64_t n_items, std::int64_t n_most) {
  const std::size_t last = array.dims.size() - 1;
  std::vector<std::int64_t> unit(array.dims.size(), 1);
  for (std::size_t axis = 0; axis < array.chunk.size(); ++axis)
    unit[axis] = std::clamp<std::int64_t>(array.chunk[axis], 1, std::max<std::int64_t>(1, array.dims[axis]));
  std::vector<std::int64_t> sides = unit;
  std::int64_t n = 1;
  for (const std::int64_t side : sides) n *= side;
  const auto grow = [&](std::size_t axis, std::int64_t length) {
    const std::int64_t wanted = std::max<std::int64_t>(1, (length + unit[axis] - 1) / unit[axis]);
    const std::int64_t n_units = std::clamp<std::int64_t>(n_most / n, 1, wanted);
    n *= n_units;
    sides[axis] = unit[axis] * n_units;
  };
  grow(last, n_items);
  for (std::size_t axis = last; axis-- > 0;) grow(axis, array.dims[axis]);
  return sides;
}

}  // namespace gauntlet::data::detail
