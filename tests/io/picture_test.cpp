// Picture files of every kind as H x W RGB bytes.
#include "core/io/picture.hpp"

#include <gmock/gmock.h>

#include <cmath>

#include "core/base/random.hpp"
#include "core/io/jpeg.hpp"
#include "core/io/png.hpp"
#include "tests/support/jpeg_file.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::io {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using testing_support::jpeg_bytes;
using testing_support::plain_jpeg;
using testing_support::TempFolder;

using Bytes = std::vector<std::uint8_t>;

/// What `bytes` become, or the error's message as the remark.
struct Decoded {
  Bytes pixels;
  std::string error;
  ErrorCode code = ErrorCode::kInternal;
  PictureRemark remark;
};

Decoded decode(std::string_view bytes, const PictureShape& shape) {
  Decoded result;
  result.pixels.resize(static_cast<std::size_t>(shape.height * shape.width * 3));
  const auto decoded = decode_picture(std::as_bytes(std::span(bytes)), "a.jpg", shape, result.pixels);
  if (decoded) {
    result.remark = *decoded;
  } else {
    result.error = decoded.error().message;
    result.code = decoded.error().code;
  }
  return result;
}

int noise(int y, int x, int channel) {
  return static_cast<int>(
      RandomStream::of(7, static_cast<std::uint64_t>(channel), static_cast<std::uint64_t>(y * 4096 + x))
          .below(256));
}

/// Bilinear resizing in double, straight from the definition.
Bytes reference(const Bytes& from, int height, int width, int to_height, int to_width) {
  Bytes out;
  const auto place = [](int at, int n_from, int n_to) {
    return std::clamp((at + 0.5) * n_from / n_to - 0.5, 0.0, n_from - 1.0);
  };
  for (int y = 0; y < to_height; ++y) {
    for (int x = 0; x < to_width; ++x) {
      for (int channel = 0; channel < 3; ++channel) {
        const double fy = place(y, height, to_height);
        const double fx = place(x, width, to_width);
        const auto value = [&](double py, double px) {
          const int iy = std::min(static_cast<int>(py), height - 1);
          const int ix = std::min(static_cast<int>(px), width - 1);
          return static_cast<double>(from[static_cast<std::size_t>((iy * width + ix) * 3 + channel)]);
        };
        const double wy = fy - std::floor(fy);
        const double wx = fx - std::floor(fx);
        const double top = value(fy, fx) * (1 - wx) + value(fy, fx + 1) * wx;
        const double bottom = value(fy + 1, fx) * (1 - wx) + value(fy + 1, fx + 1) * wx;
        out.push_back(static_cast<std::uint8_t>(std::lround(top * (1 - wy) + bottom * wy)));
      }
    }
  }
  return out;
}

Bytes resize(const Bytes& from, int height, int width, int to_height, int to_width, Fit fit = Fit::kStretch) {
  RowResizer resizer(height, width, to_height, to_width, fit);
  Bytes out(static_cast<std::size_t>(to_height * to_width * 3));
  for (int y = 0; y < height; ++y) {
    resizer.add_row(
        std::span(from).subspan(static_cast<std::size_t>(y * width * 3), static_cast<std::size_t>(width * 3)),
        out);
  }
  return out;
}

Bytes noise_picture(int height, int width) {
  Bytes pixels;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int channel = 0; channel < 3; ++channel)
        pixels.push_back(static_cast<std::uint8_t>(noise(y, x, channel)));
  return pixels;
}

TEST(Resize, IsBilinearToWithinOneStep) {
  for (const auto& [height, width, to_height, to_width] : {std::array{37, 50, 24, 24},
                                                           {5, 3, 17, 24},
                                                           {1, 1, 4, 6},
                                                           {500, 7, 3, 7},
                                                           {9, 9, 9, 9},
                                                           {2, 400, 1, 1}}) {
    const Bytes from = noise_picture(height, width);
    const Bytes expected = reference(from, height, width, to_height, to_width);
    const Bytes found = resize(from, height, width, to_height, to_width);
    for (std::size_t at = 0; at < found.size(); ++at) {
      ASSERT_LE(std::abs(found[at] - expected[at]), 1) << height << "x" << width << " at " << at;
    }
  }
  const Bytes same = noise_picture(9, 9);
  EXPECT_EQ(resize(same, 9, 9, 9, 9), same);
}

TEST(Resize, CropKeepsTheAspectAndTheCentre) {
  // 16 rows of 48: the shorter side becomes 8, the longer 24; of both the middle 7 are kept.
  Bytes from;
  for (int y = 0; y < 16; ++y)
    for (int x = 0; x < 48; ++x)
      for (int channel = 0; channel < 3; ++channel)
        from.push_back(static_cast<std::uint8_t>(channel == 0 ? x * 5 : channel == 1 ? y * 15 : 9));
  const Bytes out = resize(from, 16, 48, 7, 7, Fit::kCrop);
  for (int y = 0; y < 7; ++y) {
    for (int x = 0; x < 7; ++x) {
      const auto at = static_cast<std::size_t>((y * 7 + x) * 3);
      EXPECT_NEAR(out[at], ((x + 8) * 2 + 0.5) * 5, 1.0);
      EXPECT_NEAR(out[at + 1], (y * 2 + 0.5) * 15, 1.0);
      EXPECT_EQ(out[at + 2], 9);
    }
  }
}

TEST(Picture, JpegsOfEveryColourSpaceBecomeRgb) {
  const PictureShape shape = {.height = 4, .width = 6};
  const auto near = [](const Decoded& decoded, int red, int green, int blue) {
    ASSERT_EQ(decoded.error, "");
    for (std::size_t at = 0; at < decoded.pixels.size(); at += 3) {
      EXPECT_NEAR(decoded.pixels[at], red, 3);
      EXPECT_NEAR(decoded.pixels[at + 1], green, 3);
      EXPECT_NEAR(decoded.pixels[at + 2], blue, 3);
    }
  };
  near(decode(plain_jpeg(40, 30, 200, 100, 50), shape), 200, 100, 50);
  near(decode(jpeg_bytes(40, 30, [](int, int, int) { return 77; }, {.stored_from = JCS_GRAYSCALE}), shape),
       77, 77, 77);
  near(decode(
           jpeg_bytes(40, 30, [](int, int, int channel) { return channel * 60 + 20; }, {.progressive = true}),
           shape),
       20, 80, 140);
  // libjpeg marks its CMYK files as Adobe's, whose inks are stored inverted: 255 is no ink.
  const auto inks = [](int, int, int channel) { return channel == 0 ? 51 : 255; };
  std::string cmyk = jpeg_bytes(40, 30, inks, {.stored_from = JCS_CMYK});
  near(decode(cmyk, shape), 51, 255, 255);
  const std::size_t adobe = cmyk.find("Adobe");
  ASSERT_NE(adobe, std::string::npos);
  cmyk[adobe] = 'X';  // not marked: inks as they are
  near(decode(cmyk, shape), 0, 0, 0);
}

TEST(Picture, IsScaledAsTheResizerScalesIt) {
  const std::string file = jpeg_bytes(50, 37, noise, {.quality = 100});
  Bytes whole(50 * 37 * 3);
  ASSERT_TRUE(decode_picture(std::as_bytes(std::span(file)), "a", {.height = 37, .width = 50}, whole));
  EXPECT_EQ(decode(file, {.height = 20, .width = 24}).pixels, resize(whole, 37, 50, 20, 24));
}

TEST(Picture, PngFilesAreReadByTheirFirstBytes) {
  const TempFolder folder;
  const RgbImage image{7, 5, noise_picture(5, 7)};
  ASSERT_TRUE(write_png(folder / "named.jpg", image));
  Bytes out(5 * 7 * 3);
  ASSERT_TRUE(read_picture(folder / "named.jpg", {.height = 5, .width = 7}, out));
  EXPECT_EQ(out, image.pixels);
}

TEST(Picture, FilesThatEndEarlyAreErrorsAndSmallDamageIsRemarked) {
  const std::string file = jpeg_bytes(64, 64, noise);
  const Decoded half = decode(std::string_view(file).substr(0, file.size() / 2), {.height = 8, .width = 8});
  EXPECT_EQ(half.code, ErrorCode::kCorrupt);
  EXPECT_THAT(half.error, StartsWith("a.jpg ends inside its picture, in row "));
  const std::string progressive = jpeg_bytes(64, 64, noise, {.progressive = true});
  EXPECT_THAT(
      decode(std::string_view(progressive).substr(0, progressive.size() / 3), {.height = 8, .width = 8})
          .error,
      StartsWith("a.jpg ends inside its picture"));
  const Decoded no_end = decode(std::string_view(file).substr(0, file.size() - 2), {.height = 8, .width = 8});
  EXPECT_EQ(no_end.error, "") << "only the end marker is missing";
  EXPECT_EQ(no_end.remark.n_warnings, 1);
  EXPECT_EQ(no_end.remark.first, "Premature end of JPEG file");
  EXPECT_EQ(no_end.pixels, decode(file, {.height = 8, .width = 8}).pixels);
  std::string damaged = file;
  damaged.insert(file.size() / 2, "\xFF\xD3");
  const Decoded remarked = decode(damaged, {.height = 8, .width = 8});
  EXPECT_EQ(remarked.error, "");
  EXPECT_GE(remarked.remark.n_warnings, 1);
  for (std::size_t length = 0; length < file.size(); length += 7) {
    static_cast<void>(
        decode(std::string_view(file).substr(0, length), {.height = 3, .width = 3}));  // no crash
  }
}

/// The file with the sizes of its frame header replaced.
std::string with_size(std::string file, int marker, int height, int width) {
  const std::string head = {'\xFF', static_cast<char>(marker)};
  const std::size_t at = file.find(head);
  EXPECT_NE(at, std::string::npos);
  for (const auto& [offset, value] : {std::pair{5, height >> 8}, {6, height}, {7, width >> 8}, {8, width}}) {
    file[at + static_cast<std::size_t>(offset)] = static_cast<char>(value & 0xFF);
  }
  return file;
}

TEST(Picture, HugeSizesAreRefusedBeforeAnythingIsAllocated) {
  const std::string file = jpeg_bytes(64, 64, noise);
  EXPECT_EQ(decode(with_size(file, 0xC0, 65000, 65000), {.height = 2, .width = 2}).error,
            "a.jpg is 65000 x 65000 pixels; at most 268435456 are read");
  const std::string progressive = jpeg_bytes(64, 64, noise, {.progressive = true});
  EXPECT_EQ(decode(with_size(progressive, 0xC2, 16000, 16000), {.height = 2, .width = 2}).error,
            "a.jpg, 16000 x 16000 pixels, needs more than the 64 MiB that one picture may take");
  const TempFolder folder;
  ASSERT_TRUE(write_png(folder / "a.png", {4, 4, noise_picture(4, 4)}));
  std::string png = testing_support::bytes_of_file(folder / "a.png");
  png[17] = png[21] = '\x01';  // 65,540 x 65,540, with the header's own check sum wrong: refused either way
  EXPECT_EQ(decode(png, {.height = 2, .width = 2}).pixels.size(), 12U);
  EXPECT_NE(decode(png, {.height = 2, .width = 2}).error, "");
}

TEST(Picture, TooManyScansAreRefused) {
  std::string file = jpeg_bytes(8, 8, noise, {.progressive = true});
  const std::size_t scan = file.rfind("\xFF\xDA");
  const std::string last = file.substr(scan, file.size() - scan - 2);
  for (int again = 0; again < 300; ++again) file.insert(scan, last);
  EXPECT_EQ(decode(file, {.height = 2, .width = 2}).error, "a.jpg has more than 200 scans");
}

TEST(Picture, WhatIsNoPictureIsSaid) {
  EXPECT_EQ(decode("GIF89a", {.height = 2, .width = 2}).error,
            "a.jpg is neither a JPEG nor a PNG file: it starts with 47 49 46 38");
  EXPECT_EQ(decode("", {.height = 2, .width = 2}).error,
            "a.jpg is neither a JPEG nor a PNG file: it is empty");
  EXPECT_THAT(decode("\xFF\xD8\xFF", {.height = 2, .width = 2}).error,
              StartsWith("a.jpg is not a readable JPEG file: "));
  Bytes out(12);
  EXPECT_EQ(read_picture("/nowhere/im1.jpg", {.height = 2, .width = 2}, out).error().message,
            "cannot read /nowhere/im1.jpg: No such file or directory");
  const TempFolder folder;
  std::filesystem::create_symlink("loop.jpg", folder / "loop.jpg");
  EXPECT_THAT(read_picture(folder / "loop.jpg", {.height = 2, .width = 2}, out).error().message,
              HasSubstr("Too many levels of symbolic links"));
}

}  // namespace
}  // namespace gauntlet::io
