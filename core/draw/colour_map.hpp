// The colours of heat maps over pictures: viridis (Smith and van der Walt, 2015), which grows in lightness
// all along, so that it is read in grey, and keeps its order for colour-blind readers.
#pragma once

#include <cstdint>

#include "core/io/png.hpp"

namespace gauntlet::draw {

struct Colour {
  std::uint8_t red = 0, green = 0, blue = 0;
  bool operator==(const Colour&) const = default;
};

/// 0: dark violet, 1: light yellow; values outside are clamped, NaN is 0.
[[nodiscard]] Colour heat_colour(double value);

/// From 0 at the left to 1 at the right.
[[nodiscard]] io::RgbImage heat_scale(std::int64_t width, std::int64_t height);

}  // namespace gauntlet::draw
