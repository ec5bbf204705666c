// Where the parts of a figure stand.
#pragma once

#include <string>
#include <vector>

#include "results/plot/figure.hpp"

namespace gauntlet::results {

inline constexpr double kLetter = 7.2;  ///< px, of a letter of 12 px
inline constexpr double kLine = 18;     ///< px, of a line of text
inline constexpr double kColourBar =
    118;  ///< px, right of a heat map: the bar, numbers of 7 letters, its name

/// Sizes in px, from the top left corner.
struct FigureLayout {
  double width = 0;
  double height = 0;
  double top = 0;     ///< room for the title
  double bottom = 0;  ///< room for the legend
  double panel_width = 0;
  double panel_height = 0;
  double left_margin = 74;  ///< inside of a panel: tics and the axis' name
  double right_margin = 14;
  double bottom_margin = 60;
  std::size_t n_rows = 1;
  std::size_t legend_columns = 1;
  bool slanted = false;  ///< names at the x axis, since they would run into each other
};

/// Columns of the longest text on a terminal, which is its number of letters.
[[nodiscard]] std::size_t longest(const std::vector<std::string>& texts);
/// What the legend names: series, and the reference where there is one.
[[nodiscard]] std::vector<std::string> legend_of(const Figure& figure);
/// Room for every text, so that none runs over another or out of the picture.
[[nodiscard]] FigureLayout layout_of(const Figure& figure);

}  // namespace gauntlet::results
