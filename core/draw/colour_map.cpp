#include "core/draw/colour_map.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace gauntlet::draw {
namespace {

/// Viridis in nine equal steps; straight lines between them are within 3 grey levels of it.
constexpr std::array<Colour, 10> kAnchors = {{{68, 1, 84},
                                              {72, 40, 120},
                                              {62, 73, 137},
                                              {49, 104, 142},
                                              {38, 130, 142},
                                              {31, 158, 137},
                                              {53, 183, 121},
                                              {110, 206, 88},
                                              {181, 222, 43},
                                              {253, 231, 37}}};

std::uint8_t between(std::uint8_t low, std::uint8_t high, double part) {
  return static_cast<std::uint8_t>(std::lround(low + (high - low) * part));
}

}  // namespace

Colour heat_colour(double value) {
  if (!(value > 0)) return kAnchors.front();
  const double place = std::min(value, 1.0) * static_cast<double>(kAnchors.size() - 1);
  const auto step = std::min(static_cast<std::size_t>(place), kAnchors.size() - 2);
  const Colour &low = kAnchors[step], &high = kAnchors[step + 1];
  const double part = place - static_cast<double>(step);
  return {between(low.red, high.red, part), between(low.green, high.green, part),
          between(low.blue, high.blue, part)};
}

io::RgbImage heat_scale(std::int64_t width, std::int64_t height) {
  io::RgbImage scale{.width = width, .height = height, .pixels = {}};
  for (std::int64_t y = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x) {
      const Colour colour =
          heat_colour(width > 1 ? static_cast<double>(x) / static_cast<double>(width - 1) : 0);
      scale.pixels.insert(scale.pixels.end(), {colour.red, colour.green, colour.blue});
    }
  }
  return scale;
}

}  // namespace gauntlet::draw
