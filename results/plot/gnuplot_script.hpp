// Figures as gnuplot scripts. Equal figures give equal bytes.
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "results/plot/figure.hpp"

namespace gauntlet::results {

enum class PictureFormat : std::uint8_t { kSvg, kPdf, kPng, kPgf };

/// "svg", "pdf", "png", "pgf".
[[nodiscard]] const std::vector<std::string>& picture_format_names();

/// One of picture_format_names(). Errors (kInvalid): names the known ones.
[[nodiscard]] Result<PictureFormat> picture_format_from(std::string_view name);

/// A script that writes the picture to gnuplot's standard output. Texts are single-quoted and taken as they
/// are, so that a name can neither run a command nor be read as markup. `format` is not kPgf.
[[nodiscard]] std::string gnuplot_script(const Figure& figure, PictureFormat format);

}  // namespace gauntlet::results
