#include "core/io/png.hpp"

#include <png.h>

#include <cstring>

#include "core/base/files.hpp"
#include "core/io/detail/atomic_file.hpp"

namespace gauntlet::io {
namespace {

bool is_sane(const RgbImage& image) {
  if (image.width < 1 || image.height < 1 || image.width > kMaxPngPixels / image.height) return false;
  return image.pixels.size() == static_cast<std::size_t>(image.width * image.height * 3);
}

/// libpng's simplified interface: it returns instead of jumping, and keeps its own words in `message`.
class PngImage {
 public:
  PngImage() {
    std::memset(&image_, 0, sizeof image_);
    image_.version = PNG_IMAGE_VERSION;
  }
  ~PngImage() { png_image_free(&image_); }
  PngImage(const PngImage&) = delete;
  PngImage& operator=(const PngImage&) = delete;
  png_image* operator->() { return &image_; }
  png_image* get() { return &image_; }

 private:
  png_image image_;
};

}  // namespace

Result<std::vector<std::byte>> encode_png(const RgbImage& image, std::string_view name) {
  if (!is_sane(image)) {
    return fail(ErrorCode::kInvalid,
                "cannot write {}: a picture of {} x {} with {} bytes; at least 1 x 1 and at most {} pixels",
                name, image.width, image.height, image.pixels.size(), kMaxPngPixels);
  }
  PngImage png;
  png->width = static_cast<png_uint_32>(image.width);
  png->height = static_cast<png_uint_32>(image.height);
  png->format = PNG_FORMAT_RGB;
  std::vector<std::byte> encoded(PNG_IMAGE_PNG_SIZE_MAX(*png.get()));
  png_alloc_size_t size = encoded.size();
  if (png_image_write_to_memory(png.get(), encoded.data(), &size, 0, image.pixels.data(), 0, nullptr) == 0) {
    return fail(ErrorCode::kInternal, "cannot encode {}: {}", name, png->message);
  }
  encoded.resize(size);
  return encoded;
}

Status write_png(const std::filesystem::path& path, const RgbImage& image) {
  GAUNTLET_TRY(const std::vector<std::byte> encoded, encode_png(image, path.string()));
  GAUNTLET_TRY(detail::AtomicFile file, detail::AtomicFile::create(path));
  GAUNTLET_CHECK_OK(file.write(encoded));
  return file.commit();
}

Result<RgbImage> read_png(const std::filesystem::path& path) {
  GAUNTLET_TRY(const MappedFile file, MappedFile::open(path));
  return decode_png(file.bytes(), path.string());
}

Result<RgbImage> decode_png(std::span<const std::byte> bytes, std::string_view name,
                            std::int64_t max_pixels) {
  PngImage png;
  const auto corrupt = [&] {
    return fail(ErrorCode::kCorrupt, "{} is not a readable PNG file: {}", name, png->message);
  };
  if (png_image_begin_read_from_memory(png.get(), bytes.data(), bytes.size()) == 0) return corrupt();
  RgbImage image{png->width, png->height, {}};
  if (image.width < 1 || image.height < 1 || image.width > max_pixels / image.height) {
    return fail(ErrorCode::kInvalid, "{} is {} x {} pixels; at most {} are read", name, image.width,
                image.height, max_pixels);
  }
  png->format = PNG_FORMAT_RGB;
  image.pixels.resize(PNG_IMAGE_SIZE(*png.get()));
  const png_color white = {255, 255, 255};
  if (png_image_finish_read(png.get(), &white, image.pixels.data(), 0, nullptr) == 0) return corrupt();
  return image;
}

}  // namespace gauntlet::io
