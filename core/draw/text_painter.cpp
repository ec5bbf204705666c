#include "core/draw/text_painter.hpp"

#include "core/base/program.hpp"

namespace gauntlet::draw {
namespace {

constexpr const char* kFonts[] = {"/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
                                  "/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf",
                                  "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf"};

/// Loads a letter with its picture into the face's slot; false when the font has none.
bool load_letter(FT_Face face, char letter, FT_Int32 flags) {
  const auto code = static_cast<unsigned char>(letter);
  return FT_Load_Char(face, code < 0x80 ? code : '?', flags) == 0;
}

/// Lays one letter's grey picture over the image: coverage 255 is black.
void blend(const FT_Bitmap& letter, io::RgbImage& image, std::int64_t x, std::int64_t y) {
  for (std::int64_t row = 0; row < letter.rows; ++row) {
    for (std::int64_t column = 0; column < letter.width; ++column) {
      const std::int64_t to_x = x + column;
      const std::int64_t to_y = y + row;
      if (to_x < 0 || to_y < 0 || to_x >= image.width || to_y >= image.height) continue;
      const unsigned light = 255U - letter.buffer[row * letter.pitch + column];
      std::uint8_t* pixel = &image.pixels[static_cast<std::size_t>((to_y * image.width + to_x) * 3)];
      for (int channel = 0; channel < 3; ++channel) {
        pixel[channel] = static_cast<std::uint8_t>(pixel[channel] * light / 255U);
      }
    }
  }
}

/// A middle byte of a UTF-8 sequence: one letter shows as one '?'.
bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U; }

std::string one_byte_per_letter(std::string_view text) {
  std::string letters;
  for (const char byte : text) {
    if (!is_continuation(byte)) letters.push_back(byte);
  }
  return letters;
}

}  // namespace

std::optional<TextPainter> TextPainter::open(int height_px) {
  for (const char* font : kFonts) {
    Result<OpenFace> face = open_face(installed_path(font));
    if (!face || FT_Set_Pixel_Sizes(face->face.get(), 0, static_cast<FT_UInt>(height_px)) != 0) continue;
    return TextPainter(std::move(*face));
  }
  return std::nullopt;
}

TextPainter::TextPainter(OpenFace face) : face_(std::move(face)) {
  const FT_Size_Metrics& metrics = face_.face->size->metrics;  // in 1/64 pixel
  line_height_ = metrics.height >> 6;
  ascent_ = metrics.ascender >> 6;
}

std::int64_t TextPainter::width_of(std::string_view text) const {
  std::int64_t width = 0;
  for (const char letter : text) {
    if (!is_continuation(letter) && load_letter(face_.face.get(), letter, FT_LOAD_DEFAULT))
      width += face_.face->glyph->advance.x >> 6;
  }
  return width;
}

std::vector<std::string> TextPainter::wrap(std::string_view text, std::int64_t width,
                                           std::size_t max_lines) const {
  const std::string letters = one_byte_per_letter(text);
  std::string_view rest = letters;
  std::vector<std::string> lines;
  while (!rest.empty() && lines.size() < max_lines) {
    std::size_t fits = rest.size();
    while (fits > 1 && width_of(rest.substr(0, fits)) > width) {
      const std::size_t blank = rest.find_last_of(' ', fits - 1);
      fits = blank == std::string_view::npos || blank == 0 ? fits - 1 : blank;
    }
    lines.emplace_back(rest.substr(0, fits));
    rest.remove_prefix(fits);
    while (rest.starts_with(' ')) rest.remove_prefix(1);
  }
  return lines;
}

void TextPainter::draw(io::RgbImage& image, std::string_view line, std::int64_t x, std::int64_t y) const {
  for (const char letter : line) {
    if (is_continuation(letter) || !load_letter(face_.face.get(), letter, FT_LOAD_RENDER)) continue;
    const FT_GlyphSlot slot = face_.face->glyph;
    blend(slot->bitmap, image, x + slot->bitmap_left, y + ascent_ - slot->bitmap_top);
    x += slot->advance.x >> 6;
  }
}

}  // namespace gauntlet::draw
