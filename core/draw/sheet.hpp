// A sheet of pictures and words: what goes where, written as PNG or SVG. All lengths are pixels of the PNG.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "core/base/result.hpp"
#include "core/draw/colour_map.hpp"
#include "core/draw/lettering.hpp"
#include "core/io/png.hpp"

namespace gauntlet::draw {

struct Picture {
  std::int64_t x = 0, y = 0;
  std::int64_t zoom = 1;  ///< every pixel becomes zoom x zoom
  io::RgbImage pixels;
  std::string about;  ///< for those who cannot see it
};

struct Words {
  std::int64_t x = 0, y = 0;  ///< upper left corner
  Letters letters = Letters::kSmall;
  std::string text;  ///< one line
};

struct Box {
  std::int64_t x = 0, y = 0, width = 0, height = 0;
  std::int64_t line = 0;  ///< thickness of a frame, drawn inwards; 0: filled
  Colour colour;
};

struct Sheet {
  std::int64_t width = 1, height = 1;
  std::string title;  ///< for those who cannot see it, and for tools that list files
  std::vector<std::variant<Picture, Words, Box>> elements;  ///< later ones lie on top
};

/// On white. Errors (kInvalid): a sheet of more than io::kMaxPngPixels.
[[nodiscard]] Result<io::RgbImage> to_image(const Sheet& sheet, const Lettering& lettering);

/// Self-contained: pictures are PNG in data URIs, words are text of the reader's fonts. Errors: those of
/// encode_png.
[[nodiscard]] Result<std::string> to_svg(const Sheet& sheet);

}  // namespace gauntlet::draw
