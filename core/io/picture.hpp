// A picture file of any size as H x W RGB bytes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "core/base/result.hpp"
#include "core/io/resize.hpp"

namespace gauntlet::io {

/// The largest file that is read as a picture.
inline constexpr std::size_t kMaxPictureBytes = std::size_t{128} << 20;

/// What becomes of a picture.
struct PictureShape {
  std::int64_t height = 224;
  std::int64_t width = 224;
  Fit fit = Fit::kStretch;
};

/// Damage that was read over.
struct PictureRemark {
  std::int64_t n_warnings = 0;
  std::string first = {};
};

/// Reads a JPEG or PNG file, told apart by its first bytes, scaled into `out`, u8 [height, width, 3]. Memory:
/// a few rows for JPEG (64 MiB for progressive files), the whole picture for PNG (at most 2^24 pixels).
/// Errors: kNotFound, kIo; kInvalid (too large); kCorrupt (damaged, cut off, another format), with the path.
[[nodiscard]] Result<PictureRemark> read_picture(const std::filesystem::path& path, const PictureShape& shape,
                                                 std::span<std::uint8_t> out);

/// The same from a file's bytes; `name` is for messages.
[[nodiscard]] Result<PictureRemark> decode_picture(std::span<const std::byte> bytes, std::string_view name,
                                                   const PictureShape& shape, std::span<std::uint8_t> out);

}  // namespace gauntlet::io
