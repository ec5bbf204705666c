#include "core/io/jpeg.hpp"

#include <csetjmp>
#include <cstdio>
#include <vector>

// libjpeg's headers want stdio first.
#include <jerror.h>
#include <jpeglib.h>

namespace gauntlet::io {
namespace {

constexpr int kMaxScans = 200;

/// libjpeg's error manager with a way back. `base` comes first: libjpeg hands out pointers to it.
struct ErrorManager {
  jpeg_error_mgr base;
  std::jmp_buf back;
  char message[JMSG_LENGTH_MAX];  ///< of the error that ended the decoding
  int code;
  char first_warning[JMSG_LENGTH_MAX];
  bool has_ended;   ///< the file's last byte was used
  bool is_cut_off;  ///< and more of the picture was asked for
};

ErrorManager& manager_of(j_common_ptr decoder) { return *reinterpret_cast<ErrorManager*>(decoder->err); }

[[noreturn]] void leave(j_common_ptr decoder) {
  ErrorManager& errors = manager_of(decoder);
  errors.code = errors.base.msg_code;
  errors.base.format_message(decoder, errors.message);
  std::longjmp(errors.back, 1);
}

void note_warning(j_common_ptr decoder, int level) {
  if (level >= 0) return;  // a trace, no warning
  ErrorManager& errors = manager_of(decoder);
  if (errors.base.num_warnings++ == 0) errors.base.format_message(decoder, errors.first_warning);
  // A missing end marker alone does no harm.
  if (errors.base.msg_code == JWRN_JPEG_EOF) errors.has_ended = true;
  if (errors.base.msg_code == JWRN_HIT_MARKER && errors.has_ended) errors.is_cut_off = true;
}

void limit_scans(j_common_ptr decoder) {
  if (reinterpret_cast<j_decompress_ptr>(decoder)->input_scan_number <= kMaxScans) return;
  ErrorManager& errors = manager_of(decoder);
  errors.code = JERR_OUT_OF_MEMORY;
  std::snprintf(errors.message, sizeof errors.message, "more than %d scans", kMaxScans);
  std::longjmp(errors.back, 1);
}

/// CMYK in place of `from`, as RGB.
void cmyk_to_rgb(std::span<const std::uint8_t> from, bool inverted, std::span<std::uint8_t> to) {
  const auto ink = [inverted](std::uint8_t value) { return inverted ? value : 255 - value; };
  for (std::size_t pixel = 0; pixel * 3 < to.size(); ++pixel) {
    const int black = ink(from[pixel * 4 + 3]);
    for (std::size_t channel = 0; channel < 3; ++channel) {
      to[pixel * 3 + channel] =
          static_cast<std::uint8_t>((ink(from[pixel * 4 + channel]) * black + 127) / 255);
    }
  }
}

/// All that must outlive a jump out of libjpeg.
struct Decoding {
  jpeg_decompress_struct decoder;
  jpeg_progress_mgr progress;
  ErrorManager errors;
  std::vector<std::uint8_t> row;  ///< as libjpeg gives it
  std::vector<std::uint8_t> rgb;
  bool too_large = false;
  ~Decoding() { jpeg_destroy_decompress(&decoder); }
};

bool has_four_inks(const jpeg_decompress_struct& decoder) {
  return decoder.jpeg_color_space == JCS_CMYK || decoder.jpeg_color_space == JCS_YCCK;
}

/// Reads rows until the end or until libjpeg jumps; nothing with a destructor lives in this frame.
bool decode_rows(Decoding& all, std::span<const std::byte> bytes, const RgbRowSink& sink) {
  if (setjmp(all.errors.back) != 0) return false;
  jpeg_decompress_struct& decoder = all.decoder;
  jpeg_create_decompress(&decoder);
  decoder.mem->max_memory_to_use = kMaxJpegBytes;
  decoder.progress = &all.progress;
  jpeg_mem_src(&decoder, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&decoder, TRUE);
  all.too_large = std::int64_t{decoder.image_width} * decoder.image_height > kMaxJpegPixels;
  if (all.too_large) return false;
  decoder.out_color_space = has_four_inks(decoder) ? JCS_CMYK : JCS_RGB;
  decoder.dct_method = JDCT_ISLOW;
  jpeg_start_decompress(&decoder);
  all.row.resize(std::size_t{decoder.output_width} * static_cast<std::size_t>(decoder.output_components));
  all.rgb.resize(std::size_t{decoder.output_width} * 3);
  sink.start(decoder.output_height, decoder.output_width);
  while (decoder.output_scanline < decoder.output_height) {
    JSAMPROW row = all.row.data();
    jpeg_read_scanlines(&decoder, &row, 1);
    if (all.errors.is_cut_off) return false;
    if (decoder.out_color_space == JCS_CMYK) {
      cmyk_to_rgb(all.row, decoder.saw_Adobe_marker != FALSE, all.rgb);
      sink.row(all.rgb);
    } else {
      sink.row(all.row);
    }
  }
  jpeg_finish_decompress(&decoder);
  return true;
}

}  // namespace

Result<JpegWarnings> decode_jpeg(std::span<const std::byte> bytes, std::string_view name,
                                 const RgbRowSink& sink) {
  Decoding all{};
  all.decoder.err = jpeg_std_error(&all.errors.base);
  all.errors.base.error_exit = &leave;
  all.errors.base.emit_message = &note_warning;
  all.progress.progress_monitor = &limit_scans;
  const bool is_whole = decode_rows(all, bytes, sink);
  const jpeg_decompress_struct& decoder = all.decoder;
  if (is_whole) return JpegWarnings{all.errors.base.num_warnings, all.errors.first_warning};
  if (all.too_large) {
    return fail(ErrorCode::kInvalid, "{} is {} x {} pixels; at most {} are read", name, decoder.image_width,
                decoder.image_height, kMaxJpegPixels);
  }
  if (all.errors.is_cut_off) {
    return fail(ErrorCode::kCorrupt, "{} ends inside its picture, in row {} of {}", name,
                decoder.output_scanline, decoder.output_height);
  }
  if (all.errors.code == JERR_NO_BACKING_STORE) {
    return fail(ErrorCode::kInvalid,
                "{}, {} x {} pixels, needs more than the {} MiB that one picture may take", name,
                decoder.image_width, decoder.image_height, kMaxJpegBytes >> 20);
  }
  if (all.errors.code == JERR_OUT_OF_MEMORY && decoder.input_scan_number > kMaxScans) {
    return fail(ErrorCode::kInvalid, "{} has {}", name, all.errors.message);
  }
  return fail(ErrorCode::kCorrupt, "{} is not a readable JPEG file: {}", name, all.errors.message);
}

}  // namespace gauntlet::io
