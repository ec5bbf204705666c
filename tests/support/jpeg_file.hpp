// JPEG files for tests, made by libjpeg.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include <jpeglib.h>

namespace gauntlet::testing_support {

struct JpegStyle {
  J_COLOR_SPACE stored_from = JCS_RGB;  ///< JCS_RGB, JCS_GRAYSCALE or JCS_CMYK: what `pixel` gives
  int quality = 95;
  bool progressive = false;
};

/// A channel's value at a place.
using PixelFn = std::function<int(int y, int x, int channel)>;

/// The bytes of a JPEG file.
inline std::string jpeg_bytes(int width, int height, const PixelFn& pixel, const JpegStyle& style = {}) {
  jpeg_compress_struct encoder{};
  jpeg_error_mgr errors{};
  encoder.err = jpeg_std_error(&errors);
  jpeg_create_compress(&encoder);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&encoder, &bytes, &size);
  encoder.image_width = static_cast<JDIMENSION>(width);
  encoder.image_height = static_cast<JDIMENSION>(height);
  encoder.in_color_space = style.stored_from;
  encoder.input_components = style.stored_from == JCS_GRAYSCALE ? 1 : style.stored_from == JCS_CMYK ? 4 : 3;
  jpeg_set_defaults(&encoder);
  jpeg_set_quality(&encoder, style.quality, TRUE);
  if (style.progressive) jpeg_simple_progression(&encoder);
  jpeg_start_compress(&encoder, TRUE);
  std::vector<std::uint8_t> row(static_cast<std::size_t>(width * encoder.input_components));
  for (int y = 0; y < height; ++y) {
    for (int at = 0; at < width * encoder.input_components; ++at) {
      row[static_cast<std::size_t>(at)] =
          static_cast<std::uint8_t>(pixel(y, at / encoder.input_components, at % encoder.input_components));
    }
    JSAMPROW pointer = row.data();
    jpeg_write_scanlines(&encoder, &pointer, 1);
  }
  jpeg_finish_compress(&encoder);
  jpeg_destroy_compress(&encoder);
  std::string file(reinterpret_cast<const char*>(bytes), size);
  std::free(bytes);
  return file;
}

/// A file of one colour.
inline std::string plain_jpeg(int width, int height, int red, int green, int blue) {
  return jpeg_bytes(width, height, [=](int, int, int channel) {
    return channel == 0 ? red : channel == 1 ? green : blue;
  });
}

}  // namespace gauntlet::testing_support
