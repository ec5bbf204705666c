#include "results/export/report_curves.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "results/export/report.hpp"
#include "results/table/html_text.hpp"

namespace gauntlet::results {
namespace {

constexpr double kSide = 240;
constexpr double kLeft = 34, kTop = 10, kRight = 12, kBelow = 34;
constexpr std::size_t kMaxPanels = 200;

/// Okabe and Ito's colours, told apart by dashes too.
struct Pen {
  const char* colour;
  const char* dashes;
};
constexpr std::array kPens = {Pen{"#0072B2", ""},        Pen{"#D55E00", "6 3"}, Pen{"#009E73", "2 2"},
                              Pen{"#CC79A7", "8 2 2 2"}, Pen{"#E69F00", "4 4"}, Pen{"#56B4E9", "10 3"},
                              Pen{"#777777", "1 3"}};

struct Line {
  std::string name;
  const spec::Curve* curve;
};

std::string points_of(const spec::Curve& curve) {
  std::string points;
  for (std::size_t at = 0; at < curve.x.size(); ++at) {
    if (!std::isfinite(curve.x[at]) || !std::isfinite(curve.y[at])) continue;
    points += fmt::format("{}{:.1f},{:.1f}", points.empty() ? "" : " ",
                          kLeft + kSide * std::clamp<double>(curve.x[at], 0, 1),
                          kTop + kSide * (1 - std::clamp<double>(curve.y[at], 0, 1)));
  }
  return points;
}

std::string axes_svg() {
  std::string svg = fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" class=\"frame\"/>", kLeft,
                                kTop, kSide, kSide);
  for (const double tick : {0.0, 0.5, 1.0}) {
    svg += fmt::format("<text x=\"{}\" y=\"{:.1f}\" class=\"tick\" text-anchor=\"end\">{:.1f}</text>",
                       kLeft - 4, kTop + kSide * (1 - tick) + 4, tick);
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{}\" class=\"tick\" text-anchor=\"middle\">{:.1f}</text>",
                       kLeft + kSide * tick, kTop + kSide + 14, tick);
  }
  return svg + fmt::format(
                   "<text x=\"{}\" y=\"{}\" class=\"tick\" text-anchor=\"middle\">recall</text>"
                   "<text x=\"10\" y=\"{}\" class=\"tick\" text-anchor=\"middle\" "
                   "transform=\"rotate(-90 10 {})\">precision</text>",
                   kLeft + kSide / 2, kTop + kSide + 29, kTop + kSide / 2, kTop + kSide / 2);
}

/// `pens` by name, the same in all panels.
std::string panel_of(const std::string& title, const std::vector<Line>& lines,
                     const std::map<std::string, std::size_t>& pens) {
  std::set<std::string> names;
  for (const Line& line : lines) names.insert(line.name);
  std::string svg = fmt::format(
      "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">",
      html_lines(title), kLeft + kSide + kRight, kTop + kSide + kBelow, html_lines(title));
  svg += axes_svg();
  for (const Line& line : lines) {
    const Pen& pen = kPens[pens.at(line.name)];
    svg += fmt::format("<polyline points=\"{}\" class=\"line\" stroke=\"{}\" stroke-dasharray=\"{}\"/>",
                       points_of(*line.curve), pen.colour, pen.dashes);
  }
  svg += "</svg><ul class=\"legend\">";
  for (const std::string& name : names) {
    const Pen& pen = kPens[pens.at(name)];
    svg += fmt::format(
        "<li><svg viewBox=\"0 0 26 8\" class=\"key\"><line x1=\"0\" y1=\"4\" x2=\"26\" y2=\"4\" "
        "class=\"line\" "
        "stroke=\"{}\" stroke-dasharray=\"{}\"/></svg> {}</li>",
        pen.colour, pen.dashes, html_lines(name));
  }
  return svg + "</ul></figure>\n";
}

}  // namespace

std::string curves_html(const Bundle& bundle, const std::map<JobKey, const BundleJob*>& jobs) {
  std::map<std::string, std::vector<Line>> panels;
  for (const BundleCell& item : bundle.cells) {
    const spec::Cell& c = item.cell;
    for (const auto& [role, key] : item.jobs) {
      for (const spec::Curve& curve : jobs.at(key)->curves) {
        if (!curve.name.starts_with("pr")) continue;
        const std::string attack = c.attack == "none" ? "no attack" : c.attack + " " + c.protocol;
        panels[fmt::format("{}: {}, {}, {} bits, {}, {} ({})", item.sweep, c.dataset, c.model, c.bits, attack,
                           c.direction, curve.name)]
            .push_back({c.variant.empty() ? c.defense : c.defense + " " + c.variant, &curve});
      }
    }
  }
  if (panels.empty()) return "";
  std::map<std::string, std::size_t> pens;
  for (const auto& [title, lines] : panels)
    for (const Line& line : lines) pens.emplace(line.name, 0);
  std::size_t next = 0;
  for (auto& [name, pen] : pens) pen = next++ % kPens.size();
  std::string html = "<section id=\"curves\"><h2>Precision and recall</h2>\n<div class=\"panels\">\n";
  std::size_t n_panels = 0;
  for (const auto& [title, lines] : panels) {
    if (++n_panels > kMaxPanels) break;
    html += panel_of(title, lines, pens);
  }
  html += "</div>\n";
  if (panels.size() > kMaxPanels)
    html += fmt::format("<p>{} more panels are not drawn; their curves are in jobs.jsonl.</p>\n",
                        panels.size() - kMaxPanels);
  return html + "</section>\n";
}

}  // namespace gauntlet::results
