// Small plain text on pictures.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/draw/freetype.hpp"
#include "core/io/png.hpp"

namespace gauntlet::draw {

/// Draws dark text with a font of the system (DejaVu Sans, Noto Sans, Liberation Sans). Letters outside ASCII
/// show as '?'.
class TextPainter {
 public:
  /// Nothing when no such font is installed. `height_px`: of a line's letters.
  [[nodiscard]] static std::optional<TextPainter> open(int height_px);

  [[nodiscard]] std::int64_t line_height() const { return line_height_; }

  /// Breaks at blanks so that lines fit `width` pixels; a word that is wider is cut. At most `max_lines`.
  [[nodiscard]] std::vector<std::string> wrap(std::string_view text, std::int64_t width,
                                              std::size_t max_lines) const;

  /// Of one line, in pixels.
  [[nodiscard]] std::int64_t width_of(std::string_view text) const;

  /// One line with its upper left corner at (x, y); what lies outside the picture is left out.
  void draw(io::RgbImage& image, std::string_view line, std::int64_t x, std::int64_t y) const;

 private:
  explicit TextPainter(OpenFace face);

  OpenFace face_;
  std::int64_t line_height_ = 0;
  std::int64_t ascent_ = 0;
};

}  // namespace gauntlet::draw
