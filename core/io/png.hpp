// PNG pictures as plain RGB bytes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "core/base/result.hpp"

namespace gauntlet::io {

/// RGB, 8 bits each, row-major: byte (y, x, c) at (y * width + x) * 3 + c.
struct RgbImage {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::vector<std::uint8_t> pixels;

  bool operator==(const RgbImage&) const = default;
};

/// The largest picture that is read or written, in pixels.
inline constexpr std::int64_t kMaxPngPixels = std::int64_t{1} << 28;

/// Errors: kNoSpace, kIo; kInvalid for an empty or too large picture.
[[nodiscard]] Status write_png(const std::filesystem::path& path, const RgbImage& image);

/// The bytes of such a file. Errors: kInvalid for an empty or too large picture, which `name` names.
[[nodiscard]] Result<std::vector<std::byte>> encode_png(const RgbImage& image, std::string_view name);

/// Reads any PNG as RGB: palettes and grey are expanded, 16 bits cut to 8, transparency laid over white.
/// Errors: kNotFound, kIo, kCorrupt with libpng's own words.
[[nodiscard]] Result<RgbImage> read_png(const std::filesystem::path& path);

/// The same from a file's bytes; `name` is for messages, `max_pixels` at most kMaxPngPixels.
[[nodiscard]] Result<RgbImage> decode_png(std::span<const std::byte> bytes, std::string_view name,
                                          std::int64_t max_pixels = kMaxPngPixels);

}  // namespace gauntlet::io
