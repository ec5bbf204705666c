#include "core/io/picture.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <optional>

#include "core/base/files.hpp"
#include "core/io/jpeg.hpp"
#include "core/io/png.hpp"

namespace gauntlet::io {
namespace {

constexpr std::int64_t kMaxPngPixelsHere = std::int64_t{1} << 24;

bool starts_with(std::span<const std::byte> bytes, std::string_view head) {
  return bytes.size() >= head.size() &&
         std::ranges::equal(bytes.first(head.size()), std::as_bytes(std::span(head)));
}

/// Feeds the rows of a decoded picture to a resizer.
Result<PictureRemark> scale_png(std::span<const std::byte> bytes, std::string_view name,
                                const PictureShape& shape, std::span<std::uint8_t> out) {
  GAUNTLET_TRY(const RgbImage image, decode_png(bytes, name, kMaxPngPixelsHere));
  RowResizer resizer(image.height, image.width, shape.height, shape.width, shape.fit);
  const auto row_length = static_cast<std::size_t>(image.width) * 3;
  for (std::size_t begin = 0; begin < image.pixels.size(); begin += row_length) {
    resizer.add_row(std::span(image.pixels).subspan(begin, row_length), out);
  }
  return PictureRemark{};
}

Result<PictureRemark> scale_jpeg(std::span<const std::byte> bytes, std::string_view name,
                                 const PictureShape& shape, std::span<std::uint8_t> out) {
  std::optional<RowResizer> resizer;
  const RgbRowSink sink = {.start =
                               [&](std::int64_t height, std::int64_t width) {
                                 resizer.emplace(height, width, shape.height, shape.width, shape.fit);
                               },
                           .row = [&](std::span<const std::uint8_t> row) { resizer->add_row(row, out); }};
  GAUNTLET_TRY(JpegWarnings warnings, decode_jpeg(bytes, name, sink));
  return PictureRemark{warnings.count, std::move(warnings.first)};
}

std::string first_bytes(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte each : bytes.first(std::min<std::size_t>(bytes.size(), 4))) {
    text += fmt::format("{}{:02x}", text.empty() ? "" : " ", std::to_integer<int>(each));
  }
  return text.empty() ? "it is empty" : "it starts with " + text;
}

}  // namespace

Result<PictureRemark> decode_picture(std::span<const std::byte> bytes, std::string_view name,
                                     const PictureShape& shape, std::span<std::uint8_t> out) {
  if (starts_with(bytes, "\xFF\xD8")) return scale_jpeg(bytes, name, shape, out);
  if (starts_with(bytes, "\x89PNG")) return scale_png(bytes, name, shape, out);
  return fail(ErrorCode::kCorrupt, "{} is neither a JPEG nor a PNG file: {}", name, first_bytes(bytes));
}

Result<PictureRemark> read_picture(const std::filesystem::path& path, const PictureShape& shape,
                                   std::span<std::uint8_t> out) {
  GAUNTLET_TRY(const std::string bytes, read_file(path, kMaxPictureBytes));
  return decode_picture(std::as_bytes(std::span(bytes)), path.string(), shape, out);
}

}  // namespace gauntlet::io
