// One drawing of a collection on a small white square, whatever its size.
#include <algorithm>

#include "core/data/detail/clipart.hpp"
#include "core/io/png_rows.hpp"

namespace gauntlet::data::detail {
namespace {

/// Of target cell j (of px) and source cell i (of n) on one axis, both sides cut into n * px parts.
std::uint64_t overlap(std::int64_t j, std::int64_t i, std::int64_t px, std::int64_t n) {
  return static_cast<std::uint64_t>(std::min((i + 1) * px, (j + 1) * n) - std::max(i * px, j * n));
}

/// Sums of a picture's rows by the cells they fall into; RGBA, colours multiplied by alpha.
class AreaSums {
 public:
  explicit AreaSums(int px)
      : px_(px),
        line_(static_cast<std::size_t>(px) * 4),
        sums_(line_.size() * static_cast<std::size_t>(px)) {}

  void begin(std::int64_t width, std::int64_t height) {
    width_ = width;
    n_ = std::max(width, height);
    left_ = (n_ - width) / 2;
    y_ = (n_ - height) / 2;
  }
  void add(std::span<const std::uint8_t> row) {
    std::ranges::fill(line_, 0);
    for (std::int64_t x = 0; x < width_; ++x) {
      const std::uint8_t* pixel = row.data() + x * 4;
      const std::uint32_t alpha = pixel[3];
      if (alpha == 0) continue;
      std::uint32_t colours[4] = {0, 0, 0, alpha};
      for (int channel = 0; channel < 3; ++channel) {
        const std::uint32_t scaled = pixel[channel] * alpha + 128;  // as FreeType multiplies
        colours[channel] = (scaled + (scaled >> 8U)) >> 8U;
      }
      for_each_cell(left_ + x, [&](std::int64_t cell, std::uint64_t part) {
        for (int channel = 0; channel < 4; ++channel)
          line_[static_cast<std::size_t>(cell * 4 + channel)] += part * colours[channel];
      });
    }
    for_each_cell(y_++, [&](std::int64_t cell, std::uint64_t part) {
      std::uint64_t* const to = sums_.data() + static_cast<std::size_t>(cell) * line_.size();
      for (std::size_t at = 0; at < line_.size(); ++at) to[at] += part * line_[at];
    });
  }
  /// Laid over white.
  void finish(std::span<std::uint8_t> out) const {
    const auto area = static_cast<std::uint64_t>(n_) * static_cast<std::uint64_t>(n_);
    for (std::size_t pixel = 0; pixel * 4 < sums_.size(); ++pixel) {
      const auto mean = [&](std::size_t channel) { return (sums_[pixel * 4 + channel] + area / 2) / area; };
      const std::uint64_t rest = 255 - mean(3);
      for (std::size_t channel = 0; channel < 3; ++channel)
        out[pixel * 3 + channel] =
            static_cast<std::uint8_t>(std::min<std::uint64_t>(255, mean(channel) + rest));
    }
  }

 private:
  void for_each_cell(std::int64_t source, auto take) const {
    for (std::int64_t cell = source * px_ / n_; cell < px_ && cell * n_ < (source + 1) * px_; ++cell)
      take(cell, overlap(cell, source, px_, n_));
  }

  std::int64_t px_, width_ = 0, n_ = 1, left_ = 0, y_ = 0;
  std::vector<std::uint64_t> line_;  ///< [px, 4]
  std::vector<std::uint64_t> sums_;  ///< [px, px, 4]
};

}  // namespace

Status draw_clipart(const std::filesystem::path& picture, int px, std::span<std::uint8_t> out) {
  AreaSums sums(px);
  GAUNTLET_CHECK_OK(io::read_png_rows(
      picture, [&](std::int64_t width, std::int64_t height) { sums.begin(width, height); },
      [&](std::span<const std::uint8_t> row) { sums.add(row); }));
  sums.finish(out);
  return {};
}

}  // namespace gauntlet::data::detail
