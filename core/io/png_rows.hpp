// PNG pictures row by row, in memory that does not grow with them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>

#include "core/base/result.hpp"

namespace gauntlet::io {

/// The longest side of a picture that is read.
inline constexpr std::int64_t kMaxPngSide = 65'535;

/// Calls `begin` with the sides, then `row` with every row from the top: RGBA, 8 bits each, 4 * width bytes,
/// colours not multiplied by alpha. Palettes and grey are expanded, 16 bits cut to 8. Errors: kNotFound, kIo;
/// kCorrupt with libpng's own words; kInvalid (interlaced, a side above kMaxPngSide).
[[nodiscard]] Status read_png_rows(const std::filesystem::path& path,
                                   const std::function<void(std::int64_t width, std::int64_t height)>& begin,
                                   const std::function<void(std::span<const std::uint8_t>)>& row);

}  // namespace gauntlet::io
