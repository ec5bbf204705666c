#include "core/io/png_rows.hpp"

#include <png.h>

#include <csetjmp>
#include <cstring>
#include <string>
#include <vector>

#include "core/base/files.hpp"

namespace gauntlet::io {
namespace {

/// What is left of the file, and why libpng gave up.
struct Reading {
  std::span<const std::byte> left;
  std::string message;
};

void read_bytes(png_structp png, png_bytep out, std::size_t n) {
  auto& reading = *static_cast<Reading*>(png_get_io_ptr(png));
  if (n > reading.left.size()) png_error(png, "it ends early");
  std::memcpy(out, reading.left.data(), n);
  reading.left = reading.left.subspan(n);
}

[[noreturn]] void give_up(png_structp png, png_const_charp message) {
  static_cast<Reading*>(png_get_error_ptr(png))->message = message;
  png_longjmp(png, 1);
}

void ignore(png_structp /*png*/, png_const_charp /*message*/) {}

struct Png {
  png_structp png = nullptr;
  png_infop info = nullptr;
  explicit Png(Reading& reading)
      : png(png_create_read_struct(PNG_LIBPNG_VER_STRING, &reading, &give_up, &ignore)),
        info(png == nullptr ? nullptr : png_create_info_struct(png)) {}
  Png(const Png&) = delete;
  Png& operator=(const Png&) = delete;
  ~Png() { png_destroy_read_struct(&png, &info, nullptr); }
};

// libpng leaves the next two by a jump: nothing in them has a destructor.

bool read_head(png_structp png, png_infop info, Reading* reading) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_read_fn(png, reading, &read_bytes);
  png_set_user_limits(png, kMaxPngSide, kMaxPngSide);
  png_read_info(png, info);
  png_set_expand(png);
  png_set_strip_16(png);
  png_set_gray_to_rgb(png);
  png_set_add_alpha(png, 0xff, PNG_FILLER_AFTER);
  png_read_update_info(png, info);
  return true;
}

bool read_row(png_structp png, png_bytep row) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_read_row(png, row, nullptr);
  return true;
}

}  // namespace

Status read_png_rows(const std::filesystem::path& path,
                     const std::function<void(std::int64_t, std::int64_t)>& begin,
                     const std::function<void(std::span<const std::uint8_t>)>& row) {
  GAUNTLET_TRY(const MappedFile file, MappedFile::open(path));
  Reading reading{file.bytes(), {}};
  const Png state(reading);
  if (state.info == nullptr) return fail(ErrorCode::kOutOfMemory, "no memory to read {}", path.string());
  const auto corrupt = [&] {
    return fail(ErrorCode::kCorrupt, "{} is not a readable PNG file: {}", path.string(), reading.message);
  };
  if (!read_head(state.png, state.info, &reading)) return corrupt();
  if (png_get_interlace_type(state.png, state.info) != PNG_INTERLACE_NONE)
    return fail(ErrorCode::kInvalid, "{} is interlaced; its rows come in no order", path.string());
  const std::int64_t width = png_get_image_width(state.png, state.info);
  const std::int64_t height = png_get_image_height(state.png, state.info);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(width) * 4);
  if (png_get_rowbytes(state.png, state.info) != bytes.size())
    return fail(ErrorCode::kCorrupt, "{} is not a readable PNG file: odd rows", path.string());
  begin(width, height);
  for (std::int64_t at = 0; at < height; ++at) {
    if (!read_row(state.png, bytes.data())) return corrupt();
    row(bytes);
  }
  return {};
}

}  // namespace gauntlet::io
