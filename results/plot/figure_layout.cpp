#include "results/plot/figure_layout.hpp"

#include <algorithm>
#include <utility>

#include "results/query/text_table.hpp"

namespace gauntlet::results {
namespace {

/// px that slanted names run over the end of an axis whose names stand `pitch` px apart, half of that from
/// its end. `cosine` is that of their slope.
double overhang_of(const std::vector<std::string>& names, double pitch, double cosine) {
  const auto n_names = static_cast<double>(names.size());
  double overhang = 0;
  for (std::size_t at = 0; at < names.size(); ++at) {
    const double length = kLetter * static_cast<double>(display_width(names[at]));
    overhang = std::max(overhang, cosine * length - pitch * (n_names - static_cast<double>(at) - 0.5));
  }
  return overhang;
}

/// Makes room for slanted names below bars: they go down by the sine of 20° of their length and right, over
/// the bars' end, by its cosine.
void make_room_for_names(const Figure& figure, FigureLayout& layout) {
  constexpr double kSine = 0.4, kCosine = 0.94;  // the sine with a name's own height
  const double inside = layout.panel_width - layout.left_margin - layout.right_margin;
  const double pitch = inside / static_cast<double>(figure.x_names.size());
  const double right = std::max(layout.right_margin, overhang_of(figure.x_names, pitch, kCosine));
  layout.panel_width += right - std::exchange(layout.right_margin, right);
  layout.bottom_margin = 26 + kLetter * static_cast<double>(longest(figure.x_names)) * kSine;
}

/// Panels of lines or bars.
void lay_out_panels(const Figure& figure, FigureLayout& layout) {
  layout.panel_width = 340;
  layout.panel_height = 282;
  if (figure.steps) layout.panel_width = 520;
  if (figure.kind == FigureKind::kBars) {
    const double bars = static_cast<double>(figure.x_names.size() * (figure.legend.size() + 1));
    layout.panel_width = std::clamp(100 + 16 * bars, 330.0, 1200.0);
    layout.panel_height = 290;
  }
  if (!figure.unit_axes && figure.kind == FigureKind::kLines) layout.left_margin = 88;  // long numbers
  std::vector<std::string> titles;  // one stands over the middle of what is inside of the margins
  for (const Panel& panel : figure.panels) titles.push_back(panel.title);
  layout.panel_width =
      std::max(layout.panel_width, layout.left_margin + kLetter * static_cast<double>(longest(titles)));
  if (figure.kind != FigureKind::kBars) return;
  const double names =
      kLetter * static_cast<double>(longest(figure.x_names)) * static_cast<double>(figure.x_names.size());
  layout.slanted = names > layout.panel_width - layout.left_margin;
  if (layout.slanted) make_room_for_names(figure, layout);
  layout.panel_height += layout.bottom_margin - 30;
}

void lay_out_heatmap(const Figure& figure, FigureLayout& layout) {
  const double names = kLetter * static_cast<double>(longest(figure.x_names));
  const auto n_names = static_cast<double>(figure.x_names.size());
  const double column =
      std::max({76.0, 150 / n_names, std::min(names + 10, 130.0)});  // wide rather than slanted
  layout.slanted = names > column;
  layout.left_margin = 16 + kLetter * static_cast<double>(longest(figure.y_names));
  layout.bottom_margin = layout.slanted ? 16 + names * 0.7 : 12 + kLine;  // sin 40°
  layout.right_margin = kColourBar;
  if (layout.slanted)
    layout.right_margin = std::max(kColourBar, overhang_of(figure.x_names, column, 0.77));  // cos 40°
  layout.panel_width = layout.left_margin + layout.right_margin + column * n_names;
  layout.panel_height = layout.bottom_margin + 24 + 30 * static_cast<double>(figure.y_names.size());
}

void lay_out_legend(const Figure& figure, FigureLayout& layout) {
  const std::vector<std::string> legend = legend_of(figure);
  if (figure.kind == FigureKind::kHeatmap || legend.size() <= 1) return;
  const double entry = 62 + kLetter * static_cast<double>(longest(legend));
  layout.legend_columns =
      std::clamp<std::size_t>(static_cast<std::size_t>(layout.width / entry), 1, legend.size());
  const std::size_t lines = (legend.size() + layout.legend_columns - 1) / layout.legend_columns;
  layout.bottom = 14 + kLine * static_cast<double>(lines);
}

}  // namespace

std::size_t longest(const std::vector<std::string>& texts) {
  std::size_t width = 0;
  for (const std::string& text : texts) width = std::max(width, display_width(text));
  return width;
}

std::vector<std::string> legend_of(const Figure& figure) {
  std::vector<std::string> names = figure.legend;
  if (!figure.reference_label.empty()) names.push_back(figure.reference_label);
  return names;
}

FigureLayout layout_of(const Figure& figure) {
  FigureLayout layout;
  const std::size_t n_columns = std::max<std::size_t>(1, figure.n_columns);
  layout.n_rows = std::max<std::size_t>(1, (figure.panels.size() + n_columns - 1) / n_columns);
  if (figure.x_label.empty()) layout.bottom_margin = 30;
  figure.kind == FigureKind::kHeatmap ? lay_out_heatmap(figure, layout) : lay_out_panels(figure, layout);
  layout.top = figure.title.empty() ? 6 : 34;
  layout.width = std::max({layout.panel_width * static_cast<double>(n_columns), 330.0,
                           20 + kLetter * 1.15 * static_cast<double>(display_width(figure.title))});
  lay_out_legend(figure, layout);
  layout.height = layout.top + layout.panel_height * static_cast<double>(layout.n_rows) + layout.bottom;
  return layout;
}

}  // namespace gauntlet::results
