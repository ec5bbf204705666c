// Emoji pictures as premultiplied RGBA squares: read from the colour font, scaled exactly, laid over a
// canvas.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "core/base/result.hpp"
#include "core/data/detail/emoji_concepts.hpp"

namespace gauntlet::data::detail {

/// Side of a source sprite in pixels; the font's 136 x 128 glyphs get 4 empty rows above and below.
inline constexpr int kSpriteSide = 136;
inline constexpr std::size_t kSpriteBytes = std::size_t{kSpriteSide} * kSpriteSide * 4;

/// u8 [n, 136, 136, 4], premultiplied RGBA.
class SpriteSheet {
 public:
  explicit SpriteSheet(std::size_t n_sprites) : bytes_(n_sprites * kSpriteBytes) {}
  [[nodiscard]] std::span<const std::uint8_t> operator[](std::size_t id) const {
    return std::span(bytes_).subspan(id * kSpriteBytes, kSpriteBytes);
  }
  [[nodiscard]] std::span<std::uint8_t> at(std::size_t id) {
    return std::span(bytes_).subspan(id * kSpriteBytes, kSpriteBytes);
  }
  [[nodiscard]] std::span<const std::uint8_t> bytes() const { return bytes_; }

 private:
  std::vector<std::uint8_t> bytes_;
};

/// One sprite per concept, in order (138 MB for all 1,870). Errors: kNotFound, kIo; kInvalid when the font
/// has no single 136 x 128 colour glyph for a concept.
[[nodiscard]] Result<SpriteSheet> read_sprites(const std::filesystem::path& font,
                                               std::span<const Concept> concepts);

/// Scales sprites by exact area averages, rounding once; keeps its buffers between calls. One per thread.
class SpriteScaler {
 public:
  /// u8 [side, side, 4]; valid until the next call. side >= 1, may exceed 136.
  [[nodiscard]] std::span<const std::uint8_t> scale(std::span<const std::uint8_t> sprite, int side);

 private:
  std::vector<std::uint32_t> rows_;
  std::vector<std::uint32_t> sums_;
  std::vector<std::uint8_t> scaled_;
};

/// Where a scaled sprite goes on a canvas; it lies inside it.
struct Placement {
  int size = 0;
  int x = 0;
  int y = 0;
  bool mirror = false;  ///< left and right exchanged
};

/// Lays a scaled sprite u8 [size, size, 4] over an opaque canvas u8 [canvas_px, canvas_px, 3]:
/// out = P + (canvas * (255 - A) + 127) / 255.
void composite(std::span<std::uint8_t> canvas, int canvas_px, std::span<const std::uint8_t> scaled,
               const Placement& placement);

}  // namespace gauntlet::data::detail
