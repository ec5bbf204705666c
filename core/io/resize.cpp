#include "core/io/resize.hpp"

#include <algorithm>

namespace gauntlet::io {
namespace {

constexpr std::int64_t kOne = 2048;  // a weight of one
constexpr std::int32_t kHalf = 1 << 21;
constexpr int kShift = 22;  // both weights

}  // namespace

std::vector<RowResizer::Tap> RowResizer::taps(std::int64_t n_source, std::int64_t n_scaled,
                                              std::int64_t offset, std::int64_t n_out) {
  std::vector<Tap> all;
  for (std::int64_t at = 0; at < n_out; ++at) {
    // In units of 1 / (2 * n_scaled), so that the place is exact.
    const std::int64_t unit = 2 * n_scaled;
    const std::int64_t place =
        std::clamp<std::int64_t>((2 * (at + offset) + 1) * n_source - n_scaled, 0, (n_source - 1) * unit);
    const std::int64_t low = place / unit;
    const std::int64_t weight = (place % unit * kOne + n_scaled) / unit;
    all.push_back({static_cast<std::int32_t>(low), static_cast<std::int32_t>(std::min(low + 1, n_source - 1)),
                   static_cast<std::int32_t>(weight)});
  }
  return all;
}

RowResizer::RowResizer(std::int64_t source_height, std::int64_t source_width, std::int64_t height,
                       std::int64_t width, Fit fit) {
  std::int64_t scaled_height = height;
  std::int64_t scaled_width = width;
  if (fit == Fit::kCrop) {
    const std::int64_t shorter = (height * 8 + 3) / 7;
    const std::int64_t least = std::min(source_height, source_width);
    scaled_height = (shorter * source_height + least / 2) / least;
    scaled_width = (shorter * source_width + least / 2) / least;
  }
  rows_ = taps(source_height, scaled_height, (scaled_height - height) / 2, height);
  columns_ = taps(source_width, scaled_width, (scaled_width - width) / 2, width);
  for (auto& row : scaled_) row.resize(static_cast<std::size_t>(width) * 3);
}

void RowResizer::scale_row(std::span<const std::uint8_t> row, std::vector<std::int32_t>& scaled) const {
  std::int32_t* to = scaled.data();
  for (const Tap& tap : columns_) {
    const std::uint8_t* low = row.data() + std::ptrdiff_t{tap.low} * 3;
    const std::uint8_t* high = row.data() + std::ptrdiff_t{tap.high} * 3;
    for (int channel = 0; channel < 3; ++channel) {
      *to++ = low[channel] * static_cast<std::int32_t>(kOne) + (high[channel] - low[channel]) * tap.weight;
    }
  }
}

void RowResizer::add_row(std::span<const std::uint8_t> row, std::span<std::uint8_t> out) {
  const std::int32_t here = next_source_++;
  if (next_out_ == rows_.size() || here < rows_[next_out_].low) return;
  scale_row(row, scaled_[here % 2]);
  for (; next_out_ < rows_.size() && rows_[next_out_].high <= here; ++next_out_) {
    const Tap& tap = rows_[next_out_];
    const std::vector<std::int32_t>& low = scaled_[tap.low % 2];
    const std::vector<std::int32_t>& high = scaled_[tap.high % 2];
    std::uint8_t* to = out.data() + next_out_ * low.size();
    for (std::size_t at = 0; at < low.size(); ++at) {
      const std::int32_t sum =
          low[at] * (static_cast<std::int32_t>(kOne) - tap.weight) + high[at] * tap.weight + kHalf;
      to[at] = static_cast<std::uint8_t>(sum >> kShift);
    }
  }
}

}  // namespace gauntlet::io
