// Bilinear resizing of RGB rows as they arrive, in integers: the same bytes on every machine.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gauntlet::io {

/// How a picture of any shape becomes one of H x W.
enum class Fit : std::uint8_t {
  kStretch,  ///< both sides scaled on their own (the aspect is lost), as the CNN-F line does
  kCrop,     ///< the shorter side scaled to 8/7 of the wanted one (256 for 224), then the centre cut out
};

/// Scales one picture. Pixel d of D lies at (d + 0.5) * S / D - 0.5 of the source, clamped to it; the two
/// neighbours are weighted in 1/2048, rows likewise; nothing is averaged beyond the neighbours (no antialias,
/// what OpenCV's and PyTorch's plain bilinear do). One object per picture and thread.
class RowResizer {
 public:
  /// All sides >= 1. For kCrop `height` = `width`.
  RowResizer(std::int64_t source_height, std::int64_t source_width, std::int64_t height, std::int64_t width,
             Fit fit);

  /// Source rows u8 [source_width, 3] in order from 0; `out` is u8 [height, width, 3], filled once all rows
  /// came.
  void add_row(std::span<const std::uint8_t> row, std::span<std::uint8_t> out);

 private:
  /// Where an output position reads from.
  struct Tap {
    std::int32_t low = 0;
    std::int32_t high = 0;
    std::int32_t weight = 0;  ///< of `high`, in 1/2048
  };
  /// `n_scaled` output positions in all, of which those from `offset` on are wanted.
  static std::vector<Tap> taps(std::int64_t n_source, std::int64_t n_scaled, std::int64_t offset,
                               std::int64_t n_out);
  void scale_row(std::span<const std::uint8_t> row, std::vector<std::int32_t>& scaled) const;

  std::vector<Tap> columns_, rows_;
  std::vector<std::int32_t> scaled_[2];  ///< the last two source rows, scaled along x, times 2048
  std::int32_t next_source_ = 0;
  std::size_t next_out_ = 0;
};

}  // namespace gauntlet::io
