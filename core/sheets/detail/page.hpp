// A sheet while it is being laid out, from top to bottom.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/draw/sheet.hpp"

namespace gauntlet::sheets::detail {

inline constexpr std::int64_t kMargin = 12;
inline constexpr std::int64_t kGap = 8;

class Page {
 public:
  Page(const draw::Lettering& lettering, std::int64_t width, std::string title);

  [[nodiscard]] std::int64_t y() const { return y_; }
  [[nodiscard]] std::int64_t width() const { return sheet_.width; }
  [[nodiscard]] std::int64_t line(draw::Letters letters = draw::Letters::kSmall) const {
    return lettering_.line_height(letters);
  }
  void down(std::int64_t pixels) { y_ += pixels; }

  /// Lines of at most `width` with their upper left corner at (x, y); how many pixels high they are.
  std::int64_t write(std::string_view text, std::int64_t x, std::int64_t y, std::int64_t width,
                     std::size_t max_lines, draw::Letters letters = draw::Letters::kSmall);
  /// The same over the whole width at the cursor, which moves below.
  void paragraph(std::string_view text, std::size_t max_lines = 2,
                 draw::Letters letters = draw::Letters::kSmall);
  void add(draw::Picture picture) { sheet_.elements.emplace_back(std::move(picture)); }
  void add(draw::Box box) { sheet_.elements.emplace_back(box); }
  /// A thin line over the whole width at the cursor.
  void rule();

  [[nodiscard]] draw::Sheet finish();

 private:
  const draw::Lettering& lettering_;
  draw::Sheet sheet_;
  std::int64_t y_ = kMargin;
};

inline constexpr draw::Colour kInk = {0, 0, 0};
inline constexpr draw::Colour kFaint = {200, 200, 200};
inline constexpr draw::Colour kFrame = {0, 90, 160};  ///< dark enough to be told from white in grey

/// Pixels, row-major RGB: from bytes [H, W, 3], or from planes [3, H, W] in [0,1], clamped.
[[nodiscard]] io::RgbImage image_of(std::span<const std::uint8_t> pixels, std::int64_t height,
                                    std::int64_t width);
[[nodiscard]] io::RgbImage image_of(std::span<const float> planes, std::int64_t height, std::int64_t width);

/// The whole factor that makes a side at least `wanted` pixels.
[[nodiscard]] std::int64_t zoom_for(std::int64_t side, std::int64_t wanted);

}  // namespace gauntlet::sheets::detail
