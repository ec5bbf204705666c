#include "core/sheets/detail/page.hpp"

#include <algorithm>
#include <cmath>

namespace gauntlet::sheets::detail {

Page::Page(const draw::Lettering& lettering, std::int64_t width, std::string title) : lettering_(lettering) {
  sheet_.width = width;
  sheet_.title = std::move(title);
  paragraph(sheet_.title, 2, draw::Letters::kLarge);
  down(kGap);
}

std::int64_t Page::write(std::string_view text, std::int64_t x, std::int64_t y, std::int64_t width,
                         std::size_t max_lines, draw::Letters letters) {
  std::int64_t height = 0;
  for (std::string& line : lettering_.wrap(text, width, letters, max_lines)) {
    sheet_.elements.emplace_back(draw::Words{x, y + height, letters, std::move(line)});
    height += lettering_.line_height(letters);
  }
  return height;
}

void Page::paragraph(std::string_view text, std::size_t max_lines, draw::Letters letters) {
  y_ += write(text, kMargin, y_, sheet_.width - 2 * kMargin, max_lines, letters);
}

void Page::rule() {
  add(draw::Box{kMargin, y_, sheet_.width - 2 * kMargin, 1, 0, kFaint});
  y_ += 1 + kGap;
}

draw::Sheet Page::finish() {
  sheet_.height = y_ + kMargin;
  return std::move(sheet_);
}

io::RgbImage image_of(std::span<const std::uint8_t> pixels, std::int64_t height, std::int64_t width) {
  return {.width = width, .height = height, .pixels = {pixels.begin(), pixels.end()}};
}

io::RgbImage image_of(std::span<const float> planes, std::int64_t height, std::int64_t width) {
  io::RgbImage image{.width = width, .height = height, .pixels = {}};
  const auto n = static_cast<std::size_t>(height * width);
  image.pixels.resize(n * 3);
  for (std::size_t at = 0; at < n; ++at) {
    for (std::size_t channel = 0; channel < 3; ++channel) {
      const float value = planes[channel * n + at];
      image.pixels[at * 3 + channel] =
          std::isnan(value) ? std::uint8_t{0}
                            : static_cast<std::uint8_t>(std::lround(std::clamp(value, 0.0F, 1.0F) * 255.0F));
    }
  }
  return image;
}

std::int64_t zoom_for(std::int64_t side, std::int64_t wanted) {
  return std::clamp<std::int64_t>((wanted + side - 1) / std::max<std::int64_t>(side, 1), 1, 64);
}

}  // namespace gauntlet::sheets::detail
