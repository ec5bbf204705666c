// How series are told apart: eight colours that differ for colour-blind readers too (Okabe and Ito, 2008),
// each with dashes and a marker of its own, since colours alone are lost in print.
#pragma once

#include <array>
#include <cstdint>

namespace gauntlet::results {

struct LineStyle {
  const char* colour;        ///< "#rrggbb"
  const char* gnuplot_dash;  ///< of `dashtype`
  int gnuplot_point;         ///< of `pointtype`
  int gnuplot_pattern;       ///< of `fillstyle pattern`
  const char* tex_dash;
  const char* tex_mark;
};

// Neighbours differ in lightness.
inline constexpr std::array<LineStyle, 8> kLineStyles = {{
    {"#000000", "1", 7, 0, "solid", "*"},
    {"#d55e00", "2", 5, 1, "dashed", "square*"},
    {"#0072b2", "1", 9, 6, "solid", "triangle*"},
    {"#cc79a7", "4", 13, 2, "dashdotted", "diamond*"},
    {"#009e73", "5", 11, 4, "dashdotdotted", "triangle"},
    {"#56b4e9", "2", 4, 7, "densely dashed", "square"},
    {"#e69f00", "1", 6, 5, "solid", "o"},
    {"#8a8a00", "4", 12, 3, "dashdotted", "diamond"},
}};

[[nodiscard]] inline const LineStyle& line_style(std::size_t style) {
  return kLineStyles[style % kLineStyles.size()];
}

/// The colours of heat maps, from low to high: light to dark, in one hue, so that they survive grey.
inline constexpr std::array<const char*, 3> kHeatColours = {"#f7fbff", "#6baed6", "#08306b"};

}  // namespace gauntlet::results
