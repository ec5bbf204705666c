// How much room words take on a sheet, and where their lines break.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/draw/text_painter.hpp"

namespace gauntlet::draw {

/// Letters come in two heights.
enum class Letters : std::uint8_t { kSmall, kLarge };
[[nodiscard]] int pixels_of(Letters letters);  // 12, 16

/// Measured with the font that PNG files are drawn with; guessed where none is installed.
/// Thread safety: none.
class Lettering {
 public:
  Lettering();

  [[nodiscard]] bool has_font() const { return small_ && large_; }
  [[nodiscard]] std::int64_t line_height(Letters letters) const;
  [[nodiscard]] std::int64_t width_of(std::string_view text, Letters letters) const;
  /// UTF-8 lines of at most `width` pixels, broken at blanks, inside a word only where it is wider by itself.
  /// What `max_lines` do not hold ends in "...".
  [[nodiscard]] std::vector<std::string> wrap(std::string_view text, std::int64_t width, Letters letters,
                                              std::size_t max_lines) const;
  /// Null without a font.
  [[nodiscard]] const TextPainter* painter(Letters letters) const;

 private:
  [[nodiscard]] std::size_t n_bytes_that_fit(std::string_view text, std::int64_t width,
                                             Letters letters) const;

  std::optional<TextPainter> small_, large_;
};

}  // namespace gauntlet::draw
