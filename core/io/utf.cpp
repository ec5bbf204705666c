#include "core/io/utf.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace gauntlet::io {
namespace {

/// Takes one code point off the front; nothing when there is none.
std::optional<char32_t> take_point(std::string_view& text) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned char lead = byte(0);
  std::size_t length = 1;
  char32_t point = lead;
  char32_t least = 0;
  if (lead >= 0x80) {
    if (lead >= 0xC2 && lead <= 0xDF) {
      length = 2, least = 0x80, point = lead & 0x1FU;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
      length = 3, least = 0x800, point = lead & 0x0FU;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
      length = 4, least = 0x10000, point = lead & 0x07U;
    } else {
      return std::nullopt;
    }
    if (text.size() < length) return std::nullopt;
    for (std::size_t at = 1; at < length; ++at) {
      if ((byte(at) & 0xC0) != 0x80) return std::nullopt;
      point = point << 6 | (byte(at) & 0x3FU);
    }
  }
  const bool is_surrogate = point >= 0xD800 && point <= 0xDFFF;
  if (point < least || point > 0x10FFFF || is_surrogate) return std::nullopt;
  text.remove_prefix(length);
  return point;
}

}  // namespace

std::optional<std::vector<char32_t>> decode_utf8(std::string_view text) {
  std::vector<char32_t> points;
  points.reserve(text.size());
  while (!text.empty()) {
    const auto point = take_point(text);
    if (!point) return std::nullopt;
    points.push_back(*point);
  }
  return points;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    if (!take_point(text)) return false;
  }
  return true;
}

void append_utf8(std::string& text, char32_t point) {
  if (point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) point = 0xFFFD;
  const auto push = [&](char32_t value) { text.push_back(static_cast<char>(value)); };
  if (point < 0x80) return push(point);
  if (point < 0x800) {
    push(0xC0 | point >> 6);
  } else {
    if (point < 0x10000) {
      push(0xE0 | point >> 12);
    } else {
      push(0xF0 | point >> 18);
      push(0x80 | (point >> 12 & 0x3F));
    }
    push(0x80 | (point >> 6 & 0x3F));
  }
  push(0x80 | (point & 0x3F));
}

std::string printable(std::string_view text) {
  const bool has_control =
      std::ranges::any_of(text, [](char letter) { return static_cast<unsigned char>(letter) < 0x20; });
  if (!has_control && is_utf8(text)) return std::string(text);
  std::string shown;
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    shown += byte >= 0x20 && byte < 0x7F ? std::string(1, letter) : fmt::format("\\x{:02x}", byte);
  }
  return shown;
}

std::string harmless(std::string_view text) {
  const bool is_text = is_utf8(text);
  std::string shown;
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    const bool commands = (byte < 0x20 && letter != '\n' && letter != '\t') || byte == 0x7F;
    shown += commands || (!is_text && byte > 0x7F) ? fmt::format("\\x{:02x}", byte) : std::string(1, letter);
  }
  return shown;
}

}  // namespace gauntlet::io
