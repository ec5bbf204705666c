#include "results/board/page.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "core/base/text.hpp"
#include "results/board/words.hpp"
#include "results/export/page_head.hpp"
#include "results/table/html_text.hpp"

namespace gauntlet::results {
namespace {

constexpr std::string_view kStyle = R"(
dl.model { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; font-size: .9rem; margin: .5rem 0; }
dl.model dt { color: var(--soft); } dl.model dd { margin: 0; overflow-wrap: anywhere; }
.range { width: 150px; height: 16px; display: block; } .range .rail { stroke: var(--line); stroke-width: 2; }
.range .kept { stroke: #2b7bba; stroke-width: 6; } .range .worst { fill: #d1495b; } .range .chance { stroke: var(--fg); stroke-width: 1.5; stroke-dasharray: 2 2; }
.status-verified { color: #1a7f37; } .status-broken { color: #d1242f; font-weight: 600; }
@media (prefers-color-scheme: dark) { .range .kept { stroke: #58a6ff; } .range .worst { fill: #ff7b8a; } .status-verified { color: #56d364; } .status-broken { color: #ff7b72; } }
.warn { border-left: 4px solid #d1495b; padding-left: .6rem; } h3 { font-size: 1rem; margin: .8rem 0 .2rem; }
td.who { white-space: normal; overflow-wrap: anywhere; min-width: 6rem; }
details table { margin: .3rem 0 .8rem; } details > *:not(summary) { margin-left: .6rem; }
)";

/// A list as one line.
std::string line_of(const Json& value) {
  if (!value.is_array()) return shown(value);
  std::string line;
  for (const Json& each : value) line += (line.empty() ? "" : ", ") + shown(each);
  return line;
}

/// "dataset n_query" → value, of nested objects.
void add_terms(const Json& value, const std::string& name, std::string& html) {
  if (!value.is_object()) {
    html += fmt::format("<dt>{}</dt><dd>{}</dd>\n", html_text(name), html_text(line_of(value)));
    return;
  }
  for (const auto& [member, inner] : value.items())
    add_terms(inner, name.empty() ? member : name + " " + member, html);
}

std::string link_of(const Json& entry) {
  std::string title = html_text(title_of(entry));
  const Json link = entry.value("link", Json());
  if (!link.is_string()) return title;
  const std::string address = link.get<std::string>();
  if (!address.starts_with("https://") && !address.starts_with("http://")) return title;
  return fmt::format("<a href=\"{}\" rel=\"noopener noreferrer\">{}</a>", html_text(address), title);
}

/// From the best known to the clean value, 0 to 1, chance dashed.
std::string range_svg(const Standing& standing, std::optional<double> chance) {
  if (!standing.best_known) return "";
  const auto x = [](double ratio) { return 3 + 144 * std::clamp(ratio, 0.0, 1.0); };
  std::string svg =
      "<svg class=\"range\" viewBox=\"0 0 150 16\" role=\"img\" aria-label=\"best known to clean "
      "value\"><line class=\"rail\" x1=\"3\" x2=\"147\" y1=\"8\" y2=\"8\"/>";
  if (standing.clean)
    svg += fmt::format("<line class=\"kept\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"8\" y2=\"8\"/>",
                       x(*standing.best_known), x(*standing.clean));
  if (chance)
    svg +=
        fmt::format("<line class=\"chance\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"1\" y2=\"15\"/>", x(*chance));
  return svg + fmt::format("<circle class=\"worst\" cx=\"{:.1f}\" cy=\"8\" r=\"4\"/></svg>",
                           x(*standing.best_known));
}

/// The mean of a reference level over an entry's evaluations that have it.
std::optional<double> level_of(const Json& entry, const char* name) {
  double sum = 0;
  int n = 0;
  for (const auto& evaluation : entry.at("evaluations")) {
    const Json levels = evaluation.value("levels", Json::object());
    if (!levels.is_object() || !levels.contains(name) || !levels[name].is_number()) continue;
    sum += levels[name].get<double>();
    ++n;
  }
  return n == 0 ? std::nullopt : std::optional(sum / n);
}

std::string heading_of(std::initializer_list<const char*> names) {
  std::string html = "<thead><tr>";
  for (const char* name : names) html += fmt::format("<th scope=\"col\">{}</th>", name);
  return html + "</tr></thead>";
}

std::string ranking_html(const Json& board, const std::vector<Standing>& standings) {
  std::string html = "<div class=\"scroll\"><table>" +
                     heading_of({"rank", "defense", "best known", "95 %", "", "clean", "static", "status",
                                 "type", "seeds", "found by", "reported"}) +
                     "<tbody>\n";
  for (const Standing& each : standings) {
    const Json& entry = board.at("entries").at(each.key);
    const std::string status = each.is_baseline ? "baseline" : each.status;
    const Json reported = entry.value("reported", Json());
    const bool is_reported =
        reported.is_object() && reported.contains("value") && reported["value"].is_number();
    html += fmt::format(
        "<tr><td class=\"n\">{}</td><td class=\"who\">{}</td><td class=\"n\">{}{}</td><td "
        "class=\"n\">{}</td><td>{}</td><td "
        "class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"status-{}\">{}</td><td>{}</td><td "
        "class=\"n\">{}</td><td>{}</td><td class=\"n\">{}</td></tr>\n",
        each.rank ? fmt::format("{}", *each.rank) : "", link_of(entry), percent(each.best_known),
        marks_of(each), each.ci_low ? fmt::format("{}–{}", percent(each.ci_low), percent(each.ci_high)) : "",
        range_svg(each, level_of(entry, "chance")), percent(each.clean), percent(each.static_value), status,
        status, entry.contains("type") ? html_text(shown(entry["type"])) : "", each.n_runs,
        html_text(found_by(each)), is_reported ? percent(reported["value"].get<double>()) : "");
  }
  return html + "</tbody></table></div>\n";
}

std::string evaluations_html(const Json& entry, const std::set<std::string>& retracted) {
  std::string html =
      "<h3>Evaluations</h3><div class=\"scroll\"><table>" +
      heading_of({"evaluation", "by", "source", "attacks", "worst", "clean", "weights", "how"}) + "<tbody>\n";
  for (const auto& evaluation : entry.at("evaluations").items()) {
    const std::string& hash = evaluation.key();
    const Json& each = evaluation.value();
    const auto number = [&](const char* name) {
      return each.contains(name) ? percent(each[name]["value"].get<double>()) : "";
    };
    const Json set = each.value("attack_set", Json());
    const std::string attacks = set.is_object()                ? shown(set.value("name", Json("")))
                                : each["source"] == "external" ? "given inputs"
                                                               : "";
    const Json how = each.value("sentence", each.value("command", Json("")));
    html += fmt::format(
        "<tr><td><code>{}</code>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td><td "
        "class=\"n\">{}</td><td><code>{}</code></td><td>{}</td></tr>\n",
        html_text(hash), retracted.contains(hash) ? " (retracted)" : "", html_text(shown(each["by"])),
        html_text(shown(each["source"])), html_text(attacks), number("worst"), number("clean"),
        html_text(shown(each["weights_hash"])), html_text(shown(how)));
  }
  return html + "</tbody></table></div>\n";
}

std::string levels_html(const Json& entry) {
  std::set<std::string> names;
  for (const auto& evaluation : entry.at("evaluations")) {
    const Json levels = evaluation.value("levels", Json::object());
    for (const auto& [name, value] : levels.items()) names.insert(name);
  }
  if (names.empty()) return "";
  std::string html = "<h3>Reference levels</h3><dl class=\"model\">";
  for (const std::string& name : names)
    html += fmt::format("<dt>{}</dt><dd>{}</dd>", html_text(name), percent(level_of(entry, name.c_str())));
  return html + "</dl>\n";
}

std::string checks_html(const Json& entry) {
  std::string rows;
  for (const auto& evaluation : entry.at("evaluations")) {
    for (const Json& check : evaluation.value("checks", Json::array())) {
      rows += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td></tr>\n", html_text(shown(check["check"])),
                          html_text(shown(check["verdict"])),
                          html_text(shown(check.value("sentence", Json("")))));
    }
  }
  if (rows.empty()) return "";
  return "<h3>Checks</h3><div class=\"scroll\"><table>" + heading_of({"check", "verdict", "what it says"}) +
         "<tbody>\n" + rows + "</tbody></table></div>\n";
}

std::string curve_html(const Json& entry) {
  std::string rows;
  for (const auto& evaluation : entry.at("evaluations")) {
    for (const Json& point : evaluation.value("curve", Json::array())) {
      const Json value = point.value("value", Json());
      rows += fmt::format("<tr><td>{}</td><td class=\"n\">{}</td></tr>\n",
                          html_text(shown(point.value("epsilon", Json("")))),
                          value.is_number() ? percent(value.get<double>()) : "");
    }
    if (!rows.empty()) break;  // one curve is enough to look at
  }
  if (rows.empty()) return "";
  return "<h3>Over the budget</h3><div class=\"scroll\"><table>" + heading_of({"budget", "worst"}) +
         "<tbody>\n" + rows + "</tbody></table></div>\n";
}

std::string entry_html(const Json& board, const Standing& standing, const std::set<std::string>& retracted) {
  const Json& entry = board.at("entries").at(standing.key);
  std::string html =
      fmt::format("<details><summary>{} <span class=\"soft\"><code>{}</code></span></summary>\n",
                  html_text(title_of(entry)), html_text(standing.key));
  if (standing.degenerate)
    html += "<p class=\"warn\">Not ranked: it retrieves nothing even when nobody attacks.</p>\n";
  if (!standing.failed_checks.empty())
    html += fmt::format("<p class=\"warn\">Failed: {}.</p>\n",
                        html_text(fmt::format("{}", fmt::join(standing.failed_checks, ", "))));
  if (!standing.missing.empty() && !standing.is_baseline)
    html += fmt::format("<p>To be verified it lacks {}.</p>\n",
                        html_text(fmt::format("{}", fmt::join(standing.missing, "; "))));
  html += "<dl class=\"model\">";
  for (const char* name : {"authors", "venue", "licence", "training", "cost", "defense", "reported"})
    if (entry.contains(name)) add_terms(entry[name], name, html);
  for (const Json& stage : entry.value("declaration", Json::array())) add_terms(stage, "stage", html);
  html += "</dl>\n";
  return html + evaluations_html(entry, retracted) + curve_html(entry) + levels_html(entry) +
         checks_html(entry) + "</details>\n";
}

std::string board_html(const std::string& id, const Json& board) {
  const std::vector<Standing> standings = standings_of(board);
  const Json& model = board.at("threat_model");
  std::string html =
      fmt::format("<section id=\"b{0}\"><h2>{1}</h2>\n", html_text(id), html_text(shown(model.at("name"))));
  html += ranking_html(board, standings);
  html += "<details><summary>Threat model</summary><dl class=\"model\">\n";
  add_terms(model, "", html);
  html += "</dl></details>\n";
  std::set<std::string> retracted;
  std::string records;
  for (const auto& record : board.value("retractions", Json::object())) {
    retracted.insert(record.value("evaluation", ""));
    records += fmt::format("<p>Evaluation <code>{}</code> was retracted: {}</p>\n",
                           html_text(record.value("evaluation", "")), html_text(record.value("reason", "")));
  }
  for (const Standing& each : standings) html += entry_html(board, each, retracted);
  return html + records + "</section>\n";
}

}  // namespace

std::string board_page(const Board& board, std::string_view program) {
  const Json& boards = board.document().at("boards");
  std::string html =
      page_head("Gauntlet leaderboard", kStyle) +
      fmt::format(
          "<h1>Leaderboard</h1>\n<p>{}, each for one threat model; numbers of different ones do not compare. "
          "Values in percent. <b>Best known</b> is the worst that any accepted evaluation reached, query by "
          "query: at most this robust. † unreliable, ≈ merged from means. The bar runs from the best known "
          "value "
          "(dot) to the clean one; dashed is chance.</p>\n<p class=\"soft\">Written by gauntlet {}.</p>\n",
          count_of(boards.size(), "board"), html_text(program));
  for (const std::string& conflict : conflicts_of(board))
    html += fmt::format("<p class=\"warn\">Conflict: {}</p>\n", html_text(conflict));
  for (const auto& [id, each] : boards.items()) html += board_html(id, each);
  return html + "</body></html>\n";
}

}  // namespace gauntlet::results
