#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "core/base/overloaded.hpp"
#include "core/draw/sheet.hpp"

namespace gauntlet::draw {
namespace {

/// Share of the letters' height that lies above the base line, as in DejaVu Sans.
constexpr double kAscent = 0.93;

/// Text between tags or in quotes. Control characters have no place in XML.
std::string escaped(std::string_view text) {
  std::string safe;
  for (const char letter : text) {
    switch (letter) {
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '&':
        safe += "&amp;";
        break;
      case '"':
        safe += "&quot;";
        break;
      default:
        safe += static_cast<unsigned char>(letter) < 0x20 || letter == 0x7f ? ' ' : letter;
    }
  }
  return safe;
}

/// RFC 4648, section 4.
std::string base64(std::span<const std::byte> bytes) {
  static constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    std::uint32_t group = 0;
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - at);
    for (std::size_t i = 0; i < 3; ++i)
      group = group << 8U | (i < n ? std::to_integer<std::uint32_t>(bytes[at + i]) : 0U);
    for (std::size_t i = 0; i < 4; ++i) text += i <= n ? kDigits[group >> (18 - 6 * i) & 63U] : '=';
  }
  return text;
}

std::string hex(const Colour& colour) {
  return fmt::format("#{:02x}{:02x}{:02x}", colour.red, colour.green, colour.blue);
}

Result<std::string> tag_of(const Picture& picture) {
  GAUNTLET_TRY(const std::vector<std::byte> png, io::encode_png(picture.pixels, "a picture of the sheet"));
  return fmt::format(
      R"(<image x="{}" y="{}" width="{}" height="{}" image-rendering="optimizeSpeed" style="image-rendering:pixelated" href="data:image/png;base64,{}"><title>{}</title></image>)",
      picture.x, picture.y, picture.pixels.width * picture.zoom, picture.pixels.height * picture.zoom,
      base64(png), escaped(picture.about));
}

Result<std::string> tag_of(const Words& words) {
  const int px = pixels_of(words.letters);
  return fmt::format(R"(<text x="{}" y="{:.1f}" font-size="{}">{}</text>)", words.x,
                     static_cast<double>(words.y) + kAscent * px, px, escaped(words.text));
}

Result<std::string> tag_of(const Box& box) {
  if (box.line == 0) {
    return fmt::format(R"(<rect x="{}" y="{}" width="{}" height="{}" fill="{}"/>)", box.x, box.y, box.width,
                       box.height, hex(box.colour));
  }
  const double half = static_cast<double>(box.line) / 2;  // a stroke lies on both sides of its line
  return fmt::format(
      R"(<rect x="{}" y="{}" width="{}" height="{}" fill="none" stroke="{}" stroke-width="{}"/>)",
      static_cast<double>(box.x) + half, static_cast<double>(box.y) + half, box.width - box.line,
      box.height - box.line, hex(box.colour), box.line);
}

}  // namespace

Result<std::string> to_svg(const Sheet& sheet) {
  std::string svg = fmt::format(
      R"(<svg xmlns="http://www.w3.org/2000/svg" width="{0}" height="{1}" viewBox="0 0 {0} {1}" font-family="'DejaVu Sans', Verdana, sans-serif">
<title>{2}</title>
<rect width="{0}" height="{1}" fill="#ffffff"/>
)",
      sheet.width, sheet.height, escaped(sheet.title));
  for (const auto& element : sheet.elements) {
    GAUNTLET_TRY(const std::string tag, std::visit([](const auto& shape) { return tag_of(shape); }, element));
    svg += tag + "\n";
  }
  return svg + "</svg>\n";
}

}  // namespace gauntlet::draw
