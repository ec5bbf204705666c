#include "core/data/detail/emoji_sprites.hpp"

#include <fmt/core.h>
#include <hb.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "core/base/check.hpp"
#include "core/draw/freetype.hpp"

namespace gauntlet::data::detail {
namespace {

constexpr int kGlyphHeight = 128;
constexpr int kEmptyRows = (kSpriteSide - kGlyphHeight) / 2;

struct HarfBuzzDeleter {
  void operator()(hb_blob_t* blob) const { hb_blob_destroy(blob); }
  void operator()(hb_face_t* face) const { hb_face_destroy(face); }
  void operator()(hb_font_t* font) const { hb_font_destroy(font); }
  void operator()(hb_buffer_t* buffer) const { hb_buffer_destroy(buffer); }
};
template <class T>
using HarfBuzz = std::unique_ptr<T, HarfBuzzDeleter>;

/// Turns code-point sequences into glyphs.
class Shaper {
 public:
  static Result<Shaper> open(const std::filesystem::path& font) {
    Shaper shaper;
    shaper.blob_.reset(hb_blob_create_from_file_or_fail(font.c_str()));
    if (!shaper.blob_) return fail(ErrorCode::kIo, "cannot read the font {}", font.string());
    shaper.face_.reset(hb_face_create(shaper.blob_.get(), 0));
    shaper.font_.reset(hb_font_create(shaper.face_.get()));
    shaper.buffer_.reset(hb_buffer_create());
    return shaper;
  }

  /// Nothing unless exactly one glyph comes out.
  std::optional<std::uint32_t> glyph_of(const std::u32string& points) {
    std::vector<std::uint32_t> codes(points.begin(), points.end());
    const int length = static_cast<int>(codes.size());
    hb_buffer_clear_contents(buffer_.get());
    hb_buffer_add_utf32(buffer_.get(), codes.data(), length, 0, length);
    hb_buffer_guess_segment_properties(buffer_.get());
    hb_shape(font_.get(), buffer_.get(), nullptr, 0);
    unsigned count = 0;
    const hb_glyph_info_t* glyphs = hb_buffer_get_glyph_infos(buffer_.get(), &count);
    if (count != 1 || glyphs[0].codepoint == 0) return std::nullopt;
    return glyphs[0].codepoint;
  }

 private:
  HarfBuzz<hb_blob_t> blob_;
  HarfBuzz<hb_face_t> face_;
  HarfBuzz<hb_font_t> font_;
  HarfBuzz<hb_buffer_t> buffer_;
};

/// BGRA rows of the font into the RGBA square.
void copy_glyph(const FT_Bitmap& bitmap, std::span<std::uint8_t> sprite) {
  for (int y = 0; y < kGlyphHeight; ++y) {
    const std::uint8_t* from = bitmap.buffer + static_cast<std::ptrdiff_t>(y) * bitmap.pitch;
    std::uint8_t* to = sprite.data() + static_cast<std::size_t>((y + kEmptyRows) * kSpriteSide) * 4;
    for (int x = 0; x < kSpriteSide; ++x, from += 4, to += 4) {
      to[0] = from[2];
      to[1] = from[1];
      to[2] = from[0];
      to[3] = from[3];
    }
  }
}

/// One target cell's first source cell and the overlaps from there on, in units of 1 / (136 * side).
struct Overlap {
  int first = 0;
  int last = 0;
};

Overlap overlap_range(int cell, int side) {
  return {cell * kSpriteSide / side, ((cell + 1) * kSpriteSide - 1) / side};
}

std::uint32_t overlap(int source, int cell, int side) {
  const int begin = std::max(source * side, cell * kSpriteSide);
  const int end = std::min((source + 1) * side, (cell + 1) * kSpriteSide);
  return static_cast<std::uint32_t>(std::max(0, end - begin));
}

}  // namespace

Result<SpriteSheet> read_sprites(const std::filesystem::path& font, std::span<const Concept> concepts) {
  GAUNTLET_TRY(Shaper shaper, Shaper::open(font));
  GAUNTLET_TRY(const draw::OpenFace open, draw::open_face(font));
  FT_Face face = open.face.get();
  if (!FT_HAS_FIXED_SIZES(face) || FT_Select_Size(face, 0) != 0) {
    return fail(ErrorCode::kInvalid, "{} is not a bitmap colour font (NotoColorEmoji.ttf is)", font.string());
  }
  SpriteSheet sheet(concepts.size());
  for (std::size_t id = 0; id < concepts.size(); ++id) {
    const auto refuse = [&](std::string_view what) {
      return fail(ErrorCode::kInvalid, "{} has no picture of '{}': {}", font.string(), concepts[id].name,
                  what);
    };
    const auto glyph = shaper.glyph_of(concepts[id].code_points);
    if (!glyph) return refuse("its code points do not give one glyph");
    if (const FT_Error error = FT_Load_Glyph(face, *glyph, FT_LOAD_COLOR); error != 0) {
      return refuse(fmt::format("FreeType error {}", error));
    }
    const FT_Bitmap& bitmap = face->glyph->bitmap;
    if (bitmap.pixel_mode != FT_PIXEL_MODE_BGRA || bitmap.width != kSpriteSide ||
        bitmap.rows != kGlyphHeight) {
      return refuse(fmt::format("its glyph is {} x {} in pixel mode {}; {} x {} in colour is expected",
                                bitmap.width, bitmap.rows, bitmap.pixel_mode, kSpriteSide, kGlyphHeight));
    }
    copy_glyph(bitmap, sheet.at(id));
  }
  return sheet;
}

std::span<const std::uint8_t> SpriteScaler::scale(std::span<const std::uint8_t> sprite, int side) {
  GAUNTLET_CHECK(sprite.size() == kSpriteBytes && side >= 1);
  constexpr std::uint32_t kArea = std::uint32_t{kSpriteSide} * kSpriteSide;
  const auto row = static_cast<std::size_t>(side) * 4;
  rows_.assign(kSpriteSide * row, 0);
  for (int x = 0; x < side; ++x) {
    const Overlap range = overlap_range(x, side);
    for (int a = range.first; a <= range.last; ++a) {
      const std::uint32_t weight = overlap(a, x, side);
      for (std::size_t b = 0; b < kSpriteSide; ++b) {
        const std::uint8_t* from = &sprite[(b * kSpriteSide + static_cast<std::size_t>(a)) * 4];
        std::uint32_t* to = &rows_[b * row + static_cast<std::size_t>(x) * 4];
        for (int channel = 0; channel < 4; ++channel) to[channel] += weight * from[channel];
      }
    }
  }
  scaled_.resize(row * static_cast<std::size_t>(side));
  for (int y = 0; y < side; ++y) {
    sums_.assign(row, kArea / 2);
    const Overlap range = overlap_range(y, side);
    for (int b = range.first; b <= range.last; ++b) {
      const std::uint32_t weight = overlap(b, y, side);
      const std::uint32_t* from = &rows_[static_cast<std::size_t>(b) * row];
      for (std::size_t at = 0; at < row; ++at) sums_[at] += weight * from[at];
    }
    std::uint8_t* to = &scaled_[static_cast<std::size_t>(y) * row];
    for (std::size_t at = 0; at < row; ++at) to[at] = static_cast<std::uint8_t>(sums_[at] / kArea);
  }
  return scaled_;
}

void composite(std::span<std::uint8_t> canvas, int canvas_px, std::span<const std::uint8_t> scaled,
               const Placement& placement) {
  const int size = placement.size;
  GAUNTLET_CHECK(placement.x >= 0 && placement.y >= 0 && placement.x + size <= canvas_px &&
                 placement.y + size <= canvas_px);
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; ++x) {
      const int source_x = placement.mirror ? size - 1 - x : x;
      const std::uint8_t* from = &scaled[static_cast<std::size_t>(y * size + source_x) * 4];
      const unsigned through = 255U - from[3];
      std::uint8_t* to =
          &canvas[static_cast<std::size_t>((placement.y + y) * canvas_px + placement.x + x) * 3];
      for (int channel = 0; channel < 3; ++channel) {
        to[channel] = static_cast<std::uint8_t>(from[channel] + (to[channel] * through + 127U) / 255U);
      }
    }
  }
}

}  // namespace gauntlet::data::detail
