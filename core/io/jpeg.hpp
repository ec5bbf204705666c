// JPEG pictures as RGB rows, by libjpeg-turbo.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace gauntlet::io {

/// The largest picture that is read, in pixels. Rows are handed on one by one, so size costs time, not
/// memory.
inline constexpr std::int64_t kMaxJpegPixels = std::int64_t{1} << 28;
/// What the decoder may hold at once: progressive files keep a whole picture's coefficients.
inline constexpr long kMaxJpegBytes = 64L << 20;

/// Takes a picture: its size, then every row u8 [width, 3], RGB.
struct RgbRowSink {
  std::function<void(std::int64_t height, std::int64_t width)> start;
  std::function<void(std::span<const std::uint8_t> row)> row;
};

/// What the decoder had to say of a file it could read.
struct JpegWarnings {
  std::int64_t count = 0;
  std::string first = {};
};

/// Decodes to RGB: grey is repeated, CMYK and YCCK are converted (Adobe's are stored inverted), the exact
/// integer transform and smooth chroma are used, so the bytes are the same on every machine. A file that ends
/// inside its picture is an error; other damage is a warning. Errors, with `name`: kCorrupt (libjpeg's own
/// words), kInvalid (too many pixels, too much memory, more than 200 scans). Sizes are checked before
/// anything is allocated.
[[nodiscard]] Result<JpegWarnings> decode_jpeg(std::span<const std::byte> bytes, std::string_view name,
                                               const RgbRowSink& sink);

}  // namespace gauntlet::io
