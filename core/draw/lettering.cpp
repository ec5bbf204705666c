#include "core/draw/lettering.hpp"

#include <algorithm>

namespace gauntlet::draw {
namespace {

constexpr std::string_view kEllipsis = "...";

bool starts_letter(char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U; }

}  // namespace

int pixels_of(Letters letters) { return letters == Letters::kSmall ? 12 : 16; }

Lettering::Lettering()
    : small_(TextPainter::open(pixels_of(Letters::kSmall))),
      large_(TextPainter::open(pixels_of(Letters::kLarge))) {}

const TextPainter* Lettering::painter(Letters letters) const {
  const std::optional<TextPainter>& painter = letters == Letters::kSmall ? small_ : large_;
  return painter ? &*painter : nullptr;
}

std::int64_t Lettering::line_height(Letters letters) const {
  const TextPainter* const own = painter(letters);
  return own != nullptr ? own->line_height() : pixels_of(letters) * 5 / 4;
}

std::int64_t Lettering::width_of(std::string_view text, Letters letters) const {
  if (const TextPainter* const own = painter(letters)) return own->width_of(text);
  return std::ranges::count_if(text, starts_letter) * pixels_of(letters) * 3 / 5;
}

std::size_t Lettering::n_bytes_that_fit(std::string_view text, std::int64_t width, Letters letters) const {
  std::size_t fits = 0;
  for (std::size_t end = 1; end <= text.size(); ++end) {
    if (end < text.size() && !starts_letter(text[end])) continue;
    if (width_of(text.substr(0, end), letters) > width) break;
    fits = end;
  }
  return fits;
}

std::vector<std::string> Lettering::wrap(std::string_view text, std::int64_t width, Letters letters,
                                         std::size_t max_lines) const {
  std::vector<std::string> lines;
  while (!text.empty() && lines.size() < max_lines) {
    if (width_of(text, letters) <= width) {
      lines.emplace_back(text);
      break;
    }
    const bool is_last = lines.size() + 1 == max_lines;
    const std::int64_t room = is_last ? width - width_of(kEllipsis, letters) : width;
    std::size_t fits = n_bytes_that_fit(text, room, letters);
    const std::size_t blank = text.substr(0, fits + 1).rfind(' ');
    if (blank != std::string_view::npos && blank > 0) fits = blank;
    if (fits == 0) break;  // not even one letter
    lines.push_back(std::string(text.substr(0, fits)) + std::string(is_last ? kEllipsis : ""));
    text.remove_prefix(fits);
    while (text.starts_with(' ')) text.remove_prefix(1);
  }
  return lines;
}

}  // namespace gauntlet::draw
