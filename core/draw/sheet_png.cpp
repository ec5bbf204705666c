#include <algorithm>

#include "core/base/overloaded.hpp"
#include "core/draw/sheet.hpp"

namespace gauntlet::draw {
namespace {

/// Fills what lies on the image.
void fill(io::RgbImage& image, std::int64_t x, std::int64_t y, std::int64_t width, std::int64_t height,
          const Colour& colour) {
  for (std::int64_t row = std::max<std::int64_t>(y, 0); row < std::min(y + height, image.height); ++row) {
    for (std::int64_t at = std::max<std::int64_t>(x, 0); at < std::min(x + width, image.width); ++at) {
      std::uint8_t* const pixel = &image.pixels[static_cast<std::size_t>((row * image.width + at) * 3)];
      pixel[0] = colour.red;
      pixel[1] = colour.green;
      pixel[2] = colour.blue;
    }
  }
}

void draw(io::RgbImage& image, const Picture& picture) {
  for (std::int64_t y = 0; y < picture.pixels.height; ++y) {
    for (std::int64_t x = 0; x < picture.pixels.width; ++x) {
      const std::uint8_t* const pixel =
          &picture.pixels.pixels[static_cast<std::size_t>((y * picture.pixels.width + x) * 3)];
      fill(image, picture.x + x * picture.zoom, picture.y + y * picture.zoom, picture.zoom, picture.zoom,
           {pixel[0], pixel[1], pixel[2]});
    }
  }
}

void draw(io::RgbImage& image, const Box& box) {
  if (box.line == 0) return fill(image, box.x, box.y, box.width, box.height, box.colour);
  fill(image, box.x, box.y, box.width, box.line, box.colour);
  fill(image, box.x, box.y + box.height - box.line, box.width, box.line, box.colour);
  fill(image, box.x, box.y, box.line, box.height, box.colour);
  fill(image, box.x + box.width - box.line, box.y, box.line, box.height, box.colour);
}

}  // namespace

Result<io::RgbImage> to_image(const Sheet& sheet, const Lettering& lettering) {
  if (sheet.width < 1 || sheet.height < 1 || sheet.width > io::kMaxPngPixels / sheet.height) {
    return fail(ErrorCode::kInvalid, "a sheet of {} x {} pixels is too large; show fewer queries",
                sheet.width, sheet.height);
  }
  io::RgbImage image{.width = sheet.width, .height = sheet.height, .pixels = {}};
  image.pixels.assign(static_cast<std::size_t>(sheet.width * sheet.height * 3), 255);
  for (const auto& element : sheet.elements) {
    std::visit(Overloaded{[&](const Words& words) {
                            const TextPainter* const painter = lettering.painter(words.letters);
                            if (painter != nullptr) painter->draw(image, words.text, words.x, words.y);
                          },
                          [&](const auto& shape) { draw(image, shape); }},
               element);
  }
  return image;
}

}  // namespace gauntlet::draw
