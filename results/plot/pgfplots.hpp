// Figures for LaTeX: pgfplots, so that a paper's fonts and widths apply.
#pragma once

#include <string>

#include "results/plot/figure.hpp"

namespace gauntlet::results {

/// A tikzpicture with the numbers in it; needs pgfplots with its groupplots library, fillbetween for bands.
/// Equal figures give equal bytes.
[[nodiscard]] std::string pgfplots(const Figure& figure);

}  // namespace gauntlet::results
