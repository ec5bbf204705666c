#include "results/plot/pgfplots.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "core/base/hash.hpp"
#include "results/plot/palette.hpp"
#include "results/table/latex_text.hpp"

namespace gauntlet::results {
namespace {

std::string colours(std::size_t n) {
  std::string text;
  for (std::size_t style = 0; style < std::min(n, kLineStyles.size()); ++style) {
    text += fmt::format("\\definecolor{{gauntlet{}}}{{HTML}}{{{}}}\n", style, kLineStyles[style].colour + 1);
  }
  return text;
}

std::string coordinates(const Series& series, double sign) {
  std::string text = "coordinates {";
  for (std::size_t i = 0; i < series.x.size(); ++i) {
    const double spread = sign == 0 || series.spread.empty() ? 0 : sign * series.spread[i];
    text += fmt::format("({:.6g},{:.6g})", series.x[i], series.y[i] + spread);
  }
  return text + "}";
}

std::string line(const Series& series, std::size_t panel) {
  const LineStyle& style = line_style(series.style);
  const std::size_t colour = series.style % kLineStyles.size();
  std::string text;
  if (!series.spread.empty()) {
    text += fmt::format(
        "\\addplot[draw=none,forget plot,name path=low{0}x{1}] {2};\n"
        "\\addplot[draw=none,forget plot,name path=high{0}x{1}] {3};\n"
        "\\addplot[gauntlet{4},opacity=0.18,forget plot] fill between[of=low{0}x{1} and high{0}x{1}];\n",
        panel, series.style, coordinates(series, -1), coordinates(series, 1), colour);
  }
  if (series.dotted) {
    return text +
           fmt::format("\\addplot[gauntlet{},forget plot,dotted] {};\n", colour, coordinates(series, 0));
  }
  const std::size_t every = std::max<std::size_t>(1, series.x.size() / 8);
  return text +
         fmt::format(
             "\\addplot[gauntlet{},forget plot,thick,{},mark={},mark repeat={},mark options={{solid}}] {};\n",
             colour, style.tex_dash, style.tex_mark, every, coordinates(series, 0));
}

std::string bars(const Series& series, double width) {
  const std::size_t colour = series.style % kLineStyles.size();
  std::string text = fmt::format(
      "\\addplot[ybar,forget plot,bar width={:.5f},bar shift=0pt,draw=gauntlet{},fill=gauntlet{}!60,"
      "error bars/.cd,y dir=both,y explicit,error bar style={{black}}] coordinates {{",
      width, colour, colour);
  for (std::size_t i = 0; i < series.x.size(); ++i) {
    text += fmt::format("({:.6g},{:.6g}) +- (0,{:.6g})", series.x[i], series.y[i],
                        series.spread.empty() ? 0 : series.spread[i]);
  }
  return text + "};\n";
}

std::string tick_labels(const std::vector<std::string>& names) {
  std::vector<std::string> parts;
  for (const std::string& name : names) parts.push_back("{" + latex_text(name) + "}");
  return fmt::format("{}", fmt::join(parts, ","));
}

std::string panels(const Figure& figure, const std::string& name) {
  const std::size_t n_columns = std::max<std::size_t>(1, figure.n_columns);
  const std::size_t n_rows = (figure.panels.size() + n_columns - 1) / n_columns;
  const bool is_bars = figure.kind == FigureKind::kBars;
  std::string text = fmt::format(
      "\\begin{{groupplot}}[group style={{group size={} by {},horizontal sep=1.4cm,"
      "vertical sep=2.1cm}},width=6cm,height=5cm,xlabel={{{}}},tick align=outside,tick pos=left,"
      "legend style={{draw=none,font=\\footnotesize}},legend columns=3",
      n_columns, n_rows, latex_text(figure.x_label));
  if (figure.unit_axes) text += ",xmin=0,xmax=1,ymin=0,ymax=1";
  if (figure.from_zero) text += ",ymin=0";
  if (figure.y_end > 0) text += fmt::format(",ymax={:.6g}", figure.y_end);
  if (is_bars) {
    text += fmt::format(
        ",xmin=-0.6,xmax={:.1f},xtick={{{}}},xticklabels={{{}}},xticklabel style={{rotate=20,anchor="
        "north east,font=\\footnotesize}}",
        static_cast<double>(figure.x_names.size()) - 0.4,
        [&] {
          std::vector<std::size_t> places;
          for (std::size_t i = 0; i < figure.x_names.size(); ++i) places.push_back(i);
          return fmt::format("{}", fmt::join(places, ","));
        }(),
        tick_labels(figure.x_names));
  }
  text += "]\n";
  const double width = 0.74 / static_cast<double>(std::max<std::size_t>(1, figure.legend.size()));
  for (std::size_t panel = 0; panel < figure.panels.size(); ++panel) {
    const bool legend = panel + 1 == figure.panels.size() && figure.legend.size() > 1;
    text +=
        fmt::format("\\nextgroupplot[title={{{}}}{}{}]\n", latex_text(figure.panels[panel].title),
                    panel % n_columns == 0 ? fmt::format(",ylabel={{{}}}", latex_text(figure.y_label)) : "",
                    legend ? ",legend to name=" + name : "");
    for (const Series& series : figure.panels[panel].series)
      text += is_bars ? bars(series, width) : line(series, panel);
    if (panel < figure.reference.size() && std::isfinite(figure.reference[panel])) {
      text += fmt::format(
          "\\addplot[black,dotted,forget plot] coordinates {{(-0.6,{0:.6g})({1:.1f},{0:.6g})}};\n",
          figure.reference[panel], static_cast<double>(figure.x_names.size()) - 0.4);
    }
    if (!legend) continue;
    // Plots are forgotten by the legend, which shows every style whatever the last panel has.
    for (std::size_t style = 0; style < figure.legend.size(); ++style) {
      const LineStyle& look = line_style(style);
      text += is_bars ? fmt::format("\\addlegendimage{{area legend,draw=gauntlet{0},fill=gauntlet{0}!60}}",
                                    style % kLineStyles.size())
                      : fmt::format("\\addlegendimage{{gauntlet{},thick,{},mark={},mark options={{solid}}}}",
                                    style % kLineStyles.size(), look.tex_dash, look.tex_mark);
      text += "\\addlegendentry{" + latex_text(figure.legend[style]) + "}\n";
    }
    if (figure.reference_label.empty()) continue;
    text += "\\addlegendimage{black,dotted}\\addlegendentry{" + latex_text(figure.reference_label) + "}\n";
  }
  return text + "\\end{groupplot}\n";
}

std::string heatmap(const Figure& figure) {
  std::string text = fmt::format(
      "\\begin{{axis}}[view={{0}}{{90}},colorbar,colormap={{gauntlet}}{{color=(white) color=(gauntlet2!65)}},"
      "enlargelimits=false,axis on top,y dir=reverse,tick "
      "style={{draw=none}},xtick={{0,...,{0}}},ytick={{0,...,{1}}},"
      "xticklabels={{{2}}},yticklabels={{{3}}},xticklabel style={{rotate=40,anchor=north east}},"
      "xmin=-0.5,xmax={0}.5,ymin=-0.5,ymax={1}.5]\n",
      figure.x_names.size() - 1, figure.y_names.size() - 1, tick_labels(figure.x_names),
      tick_labels(figure.y_names));
  text += fmt::format("\\addplot[matrix plot*,point meta=explicit,mesh/cols={}] coordinates {{\n",
                      figure.x_names.size());
  std::string numbers;
  for (std::size_t row = 0; row < figure.z.size(); ++row) {
    for (std::size_t column = 0; column < figure.z[row].size(); ++column) {
      const double value = figure.z[row][column];
      if (!std::isfinite(value)) {
        text += fmt::format("({},{}) [nan]", column, row);
        continue;
      }
      text += fmt::format("({},{}) [{:.6g}]", column, row, value);
      numbers += fmt::format("\\node at (axis cs:{},{}) {{{:.{}f}}};\n", column, row, value, figure.decimals);
    }
    text += "\n";
  }
  return text + "};\n" + numbers + "\\end{axis}\n";
}

}  // namespace

std::string pgfplots(const Figure& figure) {
  std::string text =
      "% \\usepackage{pgfplots}\\usepgfplotslibrary{groupplots,fillbetween}\\pgfplotsset{compat=1.18}\n";
  text += colours(kLineStyles.size()) + "\\begin{tikzpicture}\n";
  if (figure.kind == FigureKind::kHeatmap) return text + heatmap(figure) + "\\end{tikzpicture}\n";
  // A document may hold several pictures, so that the label of a legend has to be its own.
  const std::string body = panels(figure, "");
  const std::string name = "gauntlet-legend-" + to_hex(sha256(body)).substr(0, 12);
  text += panels(figure, name) + "\\end{tikzpicture}\n";
  if (figure.legend.size() > 1) text += "\n\\ref{" + name + "}\n";
  return text;
}

}  // namespace gauntlet::results
