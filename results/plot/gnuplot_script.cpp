#include "results/plot/gnuplot_script.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/base/text.hpp"
#include "results/plot/figure_layout.hpp"
#include "results/plot/palette.hpp"
#include "results/query/text_table.hpp"

namespace gauntlet::results {
namespace {

constexpr double kPxPerInch = 90;  // of PDF
constexpr double kColourBarGap = 14;
constexpr double kColourBarWidth = 18;
constexpr double kBarsFill = 0.8;  // of the width of a group
constexpr double kMaxWholeTics = 12;

// Single quotes keep a text as it is: no escapes, no commands; a quote is doubled.
std::string literal(std::string_view text) {
  std::string shown = "'";
  for (const char letter : printable(text)) {
    if (letter == '\'') shown += '\'';
    shown += letter;
  }
  return shown + "'";
}

/// What gnuplot is told of the x axis of lines. Left alone it marks halves of epochs, and where all points
/// have one x, fractions around it.
std::string x_tics_of(const Figure& figure) {
  std::set<double> places;
  for (const Panel& panel : figure.panels)
    for (const Series& series : panel.series) places.insert(series.x.begin(), series.x.end());
  if (places.empty() || figure.steps || figure.unit_axes) return "";
  if (places.size() == 1) return fmt::format("set xtics ({:.6g})\n", *places.begin());
  const bool are_whole = std::ranges::all_of(places, [](double x) { return x == std::round(x); });
  return are_whole && *places.rbegin() - *places.begin() <= kMaxWholeTics ? "set xtics 1\n" : "";
}

std::string terminal(PictureFormat format, const FigureLayout& layout) {
  const int width = static_cast<int>(std::lround(layout.width));
  const int height = static_cast<int>(std::lround(layout.height));
  switch (format) {
    case PictureFormat::kSvg:
      return fmt::format(
          "set terminal svg size {},{} dynamic fontscale 1 font 'sans-serif,12' background rgb '#ffffff'\n",
          width, height);
    case PictureFormat::kPdf:
      return fmt::format(
          "set terminal pdfcairo size {:.3f}in,{:.3f}in font 'sans,9' background rgb '#ffffff'\n",
          width / kPxPerInch, height / kPxPerInch);
    case PictureFormat::kPng:
    case PictureFormat::kPgf:
      break;
  }
  return fmt::format(
      "set terminal pngcairo size {},{} fontscale 1.5 linewidth 1.8 pointscale 1.8 font 'sans,12' "
      "background rgb '#ffffff'\n",
      width * 2, height * 2);
}

class Script {
 public:
  Script(const Figure& figure, PictureFormat format)
      : figure_(figure), layout_(layout_of(figure)), marker_size_(format == PictureFormat::kSvg ? 0.5 : 0.7) {
    text_ = "set encoding utf8\n" + terminal(format, layout_);
    text_ += "set border 3 lw 0.8\nset tics nomirror out scale 0.6\n";
    text_ += "set grid ytics lc rgb '#c8c8c8' lw 0.6 dt 1\n";
    for (std::size_t style = 0; style < figure.legend.size(); ++style) {
      const LineStyle& line = line_style(style);
      text_ += fmt::format("set style line {} lc rgb '{}' lw 1.8 dt {} pt {} ps {}\n", style + 1, line.colour,
                           line.gnuplot_dash, line.gnuplot_point, marker_size_);
    }
    add_data();
    text_ += "set multiplot\n";
    if (!figure.title.empty()) {
      text_ += fmt::format("set label 1 {} at screen 0.5,{:.5f} center noenhanced font ',13'\n",
                           literal(figure.title), up(layout_.top / 2));
    }
  }

  std::string write() {
    switch (figure_.kind) {
      case FigureKind::kLines:
      case FigureKind::kBars:
        for (std::size_t panel = 0; panel < figure_.panels.size(); ++panel) add_panel(panel);
        add_legend();
        break;
      case FigureKind::kHeatmap:
        add_heatmap();
        break;
    }
    return text_ + "unset multiplot\n";
  }

 private:
  double across(double px) const { return px / layout_.width; }
  double up(double px) const { return 1 - px / layout_.height; }

  static std::string block(std::size_t panel, std::size_t series) {
    return fmt::format("$p{}s{}", panel, series);
  }

  void add_data() {
    for (std::size_t panel = 0; panel < figure_.panels.size(); ++panel) {
      const std::vector<Series>& list = figure_.panels[panel].series;
      for (std::size_t at = 0; at < list.size(); ++at) {
        text_ += block(panel, at) + " << EOD\n";
        for (std::size_t i = 0; i < list[at].x.size(); ++i) {
          const double spread = list[at].spread.empty() ? 0 : list[at].spread[i];
          text_ += fmt::format("{:.6g} {:.6g} {:.6g}\n", list[at].x[i], list[at].y[i], spread);
        }
        text_ += "EOD\n";
      }
    }
  }

  void add_panel(std::size_t panel) {
    const std::size_t n_columns = std::max<std::size_t>(1, figure_.n_columns);
    const std::size_t row = panel / n_columns;
    const std::size_t column = panel % n_columns;
    const double width = layout_.width / static_cast<double>(n_columns);
    const double left = width * static_cast<double>(column);
    const double top = layout_.top + layout_.panel_height * static_cast<double>(row);
    text_ += fmt::format("set lmargin at screen {:.5f}\nset rmargin at screen {:.5f}\n",
                         across(left + layout_.left_margin), across(left + width - layout_.right_margin));
    text_ += fmt::format("set tmargin at screen {:.5f}\nset bmargin at screen {:.5f}\n", up(top + 26),
                         up(top + layout_.panel_height - layout_.bottom_margin));
    text_ += fmt::format("set title {} noenhanced offset 0,-0.5\n", literal(figure_.panels[panel].title));
    text_ += fmt::format("set xlabel {} noenhanced offset 0,0.3\nset ylabel {} noenhanced\n",
                         literal(figure_.x_label), literal(column == 0 ? figure_.y_label : ""));
    if (figure_.unit_axes) text_ += "set xrange [0:1]\nset yrange [0:1]\nset xtics 0.2\nset ytics 0.2\n";
    if (figure_.from_zero) {
      text_ +=
          figure_.y_end > 0 ? fmt::format("set yrange [0:{:.6g}]\n", figure_.y_end) : "set yrange [0:*]\n";
    }
    text_ += "unset key\n";
    if (figure_.kind == FigureKind::kLines) text_ += x_tics_of(figure_);
    figure_.kind == FigureKind::kBars ? add_bars(panel) : add_lines(panel);
    text_ += "unset label 1\n";  // once is enough
  }

  void add_lines(std::size_t panel) {
    const std::vector<Series>& list = figure_.panels[panel].series;
    std::vector<std::string> parts;
    for (std::size_t at = 0; at < list.size(); ++at) {
      if (list[at].spread.empty()) continue;
      parts.push_back(
          fmt::format("{} using 1:($2-$3):($2+$3) with filledcurves fc rgb '{}' fs transparent solid 0.18 "
                      "noborder",
                      block(panel, at), line_style(list[at].style).colour));
    }
    for (std::size_t at = 0; at < list.size(); ++at) {
      if (figure_.steps) {
        parts.push_back(fmt::format("{} using 1:2 with histeps ls {}", block(panel, at), list[at].style + 1));
        continue;
      }
      if (list[at].dotted) {
        parts.push_back(fmt::format("{} using 1:2 with lines lc rgb '{}' lw 1.2 dt 3", block(panel, at),
                                    line_style(list[at].style).colour));
        continue;
      }
      const std::size_t every = std::max<std::size_t>(1, list[at].x.size() / 8);
      // Markers of different series stand at different points, so that coinciding lines show both.
      parts.push_back(fmt::format("{} using 1:2 with lines ls {}", block(panel, at), list[at].style + 1));
      parts.push_back(fmt::format("{} every {}::{} using 1:2 with points ls {}", block(panel, at), every,
                                  list[at].style % every, list[at].style + 1));
    }
    add_plot(parts);
  }

  void add_bars(std::size_t panel) {
    const std::vector<Series>& list = figure_.panels[panel].series;
    const auto n_groups = static_cast<double>(figure_.x_names.size());
    std::string tics;
    for (std::size_t group = 0; group < figure_.x_names.size(); ++group)
      tics += fmt::format("{}{} {}", group > 0 ? ", " : "", literal(figure_.x_names[group]), group);
    text_ += fmt::format("set xrange [-0.6:{:.1f}]\nset xtics ({}) scale 0 noenhanced{}\n", n_groups - 0.4,
                         tics, layout_.slanted ? " rotate by -20" : "");
    const double width = kBarsFill / static_cast<double>(std::max<std::size_t>(1, figure_.legend.size()));
    std::vector<std::string> parts;
    for (std::size_t at = 0; at < list.size(); ++at) {
      const LineStyle& style = line_style(list[at].style);
      const std::string bars = fmt::format("{} using 1:2:({:.5f}) with boxes fc rgb '{}'", block(panel, at),
                                           width * 0.92, style.colour);
      // A pale body under the pattern, so that hatched bars keep their weight.
      parts.push_back(bars + " fs solid 0.3 noborder");
      parts.push_back(bars + fmt::format(" lw 0.8 fs transparent pattern {} border lc rgb '{}'",
                                         style.gnuplot_pattern, style.colour));
      if (list[at].spread.empty()) continue;
      parts.push_back(block(panel, at) +
                      " using 1:($2-$3):(0):(2*$3) with vectors nohead lc rgb '#000000' lw 1.6");
    }
    if (panel < figure_.reference.size() && std::isfinite(figure_.reference[panel])) {
      parts.push_back(fmt::format("{:.6g} with lines lc rgb '#000000' lw 1 dt 3", figure_.reference[panel]));
    }
    add_plot(parts);
  }

  void add_plot(const std::vector<std::string>& parts) {
    text_ += parts.empty() ? "plot NaN notitle" : "plot ";
    for (std::size_t i = 0; i < parts.size(); ++i) text_ += (i > 0 ? ", \\\n  " : "") + parts[i] + " notitle";
    text_ += "\n";
  }

  // The legend is drawn by hand: gnuplot would size it by an axis that is not there.
  void add_legend() {
    const std::vector<std::string> names = legend_of(figure_);
    if (names.size() < 2) return;
    text_ +=
        "reset\nunset border\nunset tics\nunset key\nset lmargin 0\nset rmargin 0\nset tmargin 0\nset "
        "bmargin 0\n";
    text_ += fmt::format("set xrange [0:{:.1f}]\nset yrange [{:.1f}:0]\n", layout_.width, layout_.height);
    text_ +=
        "set lmargin at screen 0\nset rmargin at screen 1\nset tmargin at screen 1\nset bmargin at screen "
        "0\n";
    const double entry = 62 + kLetter * static_cast<double>(longest(names));
    const double first =
        std::max(8.0, (layout_.width - entry * static_cast<double>(layout_.legend_columns)) / 2);
    const double top = layout_.height - layout_.bottom + 8;
    std::vector<std::string> parts;
    for (std::size_t at = 0; at < names.size(); ++at) {
      const double x = first + entry * static_cast<double>(at % layout_.legend_columns);
      const std::size_t line = at / layout_.legend_columns;
      const double y = top + kLine * (static_cast<double>(line) + 0.5);
      text_ += fmt::format("set label {} {} at {:.1f},{:.1f} left noenhanced\n", at + 2, literal(names[at]),
                           x + 44, y);
      add_sample(at, x, y, parts);
    }
    add_plot(parts);
  }

  void add_sample(std::size_t at, double x, double y, std::vector<std::string>& parts) {
    const std::string name = fmt::format("$k{}", at);
    const bool bars = figure_.kind == FigureKind::kBars;
    if (at >= figure_.legend.size()) {
      text_ += fmt::format("{} << EOD\n{:.1f} {:.1f}\n{:.1f} {:.1f}\nEOD\n", name, x + 4, y, x + 36, y);
      parts.push_back(name + " using 1:2 with lines lc rgb '#000000' lw 1 dt 3");
      return;
    }
    const LineStyle& style = line_style(at);
    if (bars) {
      text_ += fmt::format("{} << EOD\n{:.1f} {:.1f} {:.1f} {:.1f}\nEOD\n", name, x + 20, y, 14.0, 6.0);
      const std::string box = fmt::format("{} using 1:2:3:4 with boxxyerror fc rgb '{}'", name, style.colour);
      parts.push_back(box + " fs solid 0.3 noborder");
      parts.push_back(box + fmt::format(" lw 0.8 fs transparent pattern {} border lc rgb '{}'",
                                        style.gnuplot_pattern, style.colour));
      return;
    }
    text_ += fmt::format("set style line {} lc rgb '{}' lw 1.8 dt {} pt {} ps {}\n", at + 1, style.colour,
                         style.gnuplot_dash, style.gnuplot_point, marker_size_);
    text_ += fmt::format("{0} << EOD\n{1:.1f} {4:.1f}\n{2:.1f} {4:.1f}\n{3:.1f} {4:.1f}\nEOD\n", name, x + 2,
                         x + 20, x + 38, y);
    parts.push_back(fmt::format("{} using 1:2 with lines ls {}", name, at + 1));
    parts.push_back(fmt::format("{} every ::1::1 using 1:2 with points ls {}", name, at + 1));
  }

  void add_heatmap() {
    double low = std::numeric_limits<double>::infinity();
    double high = -low;
    for (const auto& row : figure_.z) {
      for (const double value : row) {
        if (!std::isfinite(value)) continue;
        low = std::min(low, value);
        high = std::max(high, value);
      }
    }
    if (!(low < high)) high = low + 1;
    std::string cells;
    std::string dark;
    std::string light;
    for (std::size_t row = 0; row < figure_.z.size(); ++row) {
      for (std::size_t column = 0; column < figure_.z[row].size(); ++column) {
        const double value = figure_.z[row][column];
        if (!std::isfinite(value)) continue;
        cells += fmt::format("{} {} {:.6g}\n", column, row, value);
        (value > low + 0.55 * (high - low) ? light : dark) +=
            fmt::format("{} {} {:.{}f}\n", column, row, value, figure_.decimals);
      }
    }
    text_ +=
        "$cells << EOD\n" + cells + "EOD\n$dark << EOD\n" + dark + "EOD\n$light << EOD\n" + light + "EOD\n";
    text_ += fmt::format("set palette defined (0 '{}', 0.5 '{}', 1 '{}')\nset cbrange [{:.6g}:{:.6g}]\n",
                         kHeatColours[0], kHeatColours[1], kHeatColours[2], low, high);
    text_ += fmt::format("set lmargin at screen {:.5f}\nset rmargin at screen {:.5f}\n",
                         across(layout_.left_margin), across(layout_.width - layout_.right_margin));
    const double bottom = up(layout_.height - layout_.bottom_margin);
    text_ += fmt::format("set tmargin at screen {:.5f}\nset bmargin at screen {:.5f}\n", up(layout_.top + 8),
                         bottom);
    // Left alone, the bar and what it is away grow with the map, and its numbers leave the picture.
    text_ += fmt::format("set colorbox user origin screen {:.5f},{:.5f} size screen {:.5f},{:.5f}\n",
                         across(layout_.width - layout_.right_margin + kColourBarGap), bottom,
                         across(kColourBarWidth), up(layout_.top + 8) - bottom);
    text_ += fmt::format(
        "unset grid\nunset key\nset tics scale 0\nset xtics noenhanced{} ({})\nset ytics noenhanced ({})\n",
        layout_.slanted ? " rotate by -40" : "", tics(figure_.x_names), tics(figure_.y_names));
    text_ += fmt::format(
        "set xrange [-0.5:{}.5]\nset yrange [{}.5:-0.5]\nset border 0\nset cblabel {} noenhanced offset "
        "1,0\n",
        static_cast<int>(figure_.x_names.size()) - 1, static_cast<int>(figure_.y_names.size()) - 1,
        literal(figure_.y_label));
    std::vector<std::string> parts = {
        "$cells using 1:2:(0.49):(0.48):3 with boxxyerror fc palette fs solid 1 noborder"};
    if (!dark.empty()) parts.push_back("$dark using 1:2:(strcol(3)) with labels tc rgb '#000000'");
    if (!light.empty()) parts.push_back("$light using 1:2:(strcol(3)) with labels tc rgb '#ffffff'");
    add_plot(parts);
  }

  static std::string tics(const std::vector<std::string>& names) {
    std::string text;
    for (std::size_t i = 0; i < names.size(); ++i)
      text += fmt::format("{}{} {}", i > 0 ? ", " : "", literal(names[i]), i);
    return text;
  }

  const Figure& figure_;
  FigureLayout layout_;
  double marker_size_;  ///< the formats draw them in sizes of their own
  std::string text_;
};

}  // namespace

const std::vector<std::string>& picture_format_names() {
  static const std::vector<std::string> names = {"svg", "pdf", "png", "pgf"};
  return names;
}

Result<PictureFormat> picture_format_from(std::string_view name) {
  if (name == "svg") return PictureFormat::kSvg;
  if (name == "pdf") return PictureFormat::kPdf;
  if (name == "png") return PictureFormat::kPng;
  if (name == "pgf") return PictureFormat::kPgf;
  return fail(ErrorCode::kInvalid, "{}", unknown_name_message("format", name, picture_format_names()));
}

std::string gnuplot_script(const Figure& figure, PictureFormat format) {
  return Script(figure, format).write();
}

}  // namespace gauntlet::results
