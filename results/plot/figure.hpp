// A picture as data: panels of lines or bars, or a map of numbers. Made from the database (figures.hpp),
// written as a gnuplot script (gnuplot_script.hpp) or as LaTeX (pgfplots.hpp).
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace gauntlet::results {

/// One line, or the bars of one colour. Its colour, dashes, marker and pattern follow from `style`, so that a
/// name looks the same in every panel.
struct Series {
  std::size_t style = 0;  ///< index into Figure::legend
  std::vector<double> x;
  std::vector<double> y;
  std::vector<double> spread;  ///< of y, as long as it, or empty: drawn as a band (lines) or whiskers (bars)
  bool dotted = false;         ///< lines: thin, dotted, without markers
};

struct Panel {
  std::string title;
  std::vector<Series> series;
};

enum class FigureKind : std::uint8_t { kLines, kBars, kHeatmap };

struct Figure {
  FigureKind kind = FigureKind::kLines;
  std::string title;
  std::string x_label;
  std::string y_label;
  std::vector<Panel> panels;           ///< row by row
  std::size_t n_columns = 1;           ///< panels side by side
  std::vector<std::string> legend;     ///< names of styles, shared by all panels
  std::vector<std::string> x_names;    ///< bars: of the groups at x = 0, 1, …; heat maps: of the columns
  std::vector<std::string> y_names;    ///< heat maps: of the rows
  std::vector<std::vector<double>> z;  ///< heat maps: [row][column]; NaN: none
  int decimals = 3;                    ///< of the numbers in a heat map
  bool unit_axes = false;              ///< both axes go from 0 to 1
  bool steps = false;                  ///< lines: every y holds around its x; no markers
  bool from_zero = false;              ///< the y axis begins at 0
  double y_end = 0;                    ///< where that of every panel ends; 0: each as its numbers ask
  std::vector<double> reference;       ///< bars: a level per panel, NaN: none
  std::string reference_label;
};

}  // namespace gauntlet::results
