#include "results/export/report.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/base/text.hpp"
#include "results/export/page_head.hpp"
#include "results/export/report_curves.hpp"
#include "results/table/html_text.hpp"

namespace gauntlet::results {
namespace {

using Jobs = std::map<JobKey, const BundleJob*>;

// ---------------------------------------------------------------- tables

struct Seeds {
  std::vector<double> values;
  std::size_t expected = 0;
};

std::string number_text(const Seeds& seeds, const std::string& unit) {
  if (seeds.expected == 0) return "";
  if (seeds.values.empty()) return "–";
  double mean = 0, squares = 0;
  const auto n = static_cast<double>(seeds.values.size());
  for (const double value : seeds.values) mean += value / n;
  for (const double value : seeds.values) squares += (value - mean) * (value - mean);
  const double factor = unit == "ratio" ? 100 : 1;
  const int decimals = unit == "ratio" ? 2 : 3;
  std::string text = fmt::format("{:.{}f}", mean * factor, decimals);
  if (seeds.values.size() > 1)
    text += fmt::format(" ± {:.{}f}", std::sqrt(squares / (n - 1)) * factor, decimals);
  if (seeds.values.size() != 1 || seeds.expected != 1)
    text += fmt::format(" <span class=\"soft\">({}{})</span>", seeds.values.size(),
                        seeds.values.size() == seeds.expected ? "" : fmt::format(" of {}", seeds.expected));
  return text;
}

/// One row per dataset, model, bits, attack, protocol, defense and variant; one column per metric and
/// direction; means over the seeds.
class SweepTable {
 public:
  using Row = std::vector<std::string>;
  using Column = std::pair<std::string, std::string>;  // metric, direction

  void add(const BundleCell& item, const Jobs& jobs) {
    const spec::Cell& c = item.cell;
    const Row row = {c.dataset, c.model,  fmt::format("{}", c.bits), c.attack, c.protocol,
                     c.defense, c.variant};
    std::map<std::string, const spec::ResultRow*> found;
    for (const auto& [role, key] : item.jobs) {
      for (const spec::ResultRow& number : jobs.at(key)->rows) found.emplace(number.metric, &number);
      for (const spec::Curve& curve : jobs.at(key)->curves) curves_.insert(curve.name);
    }
    for (const std::string& metric : item.metrics) {
      const auto number = found.find(metric);
      const bool is_curve = std::any_of(curves_.begin(), curves_.end(), [&](const std::string& name) {
        return name == metric || name.starts_with(metric + ":");
      });
      if (number == found.end() && is_curve) continue;
      Seeds& seeds = entries_[row][{metric, c.direction}];
      columns_.insert({metric, c.direction});
      ++seeds.expected;
      if (number == found.end() || !std::isfinite(number->second->value)) continue;
      units_.emplace(metric, number->second->unit);
      seeds.values.push_back(number->second->value);
    }
  }

  [[nodiscard]] std::string html() const {
    std::string text = "<div class=\"scroll\"><table><thead><tr>";
    for (const char* axis : {"dataset", "model", "bits", "attack", "protocol", "defense", "variant"})
      text += fmt::format("<th scope=\"col\">{}</th>", axis);
    for (const auto& [metric, direction] : columns_) {
      text += fmt::format("<th scope=\"col\">{} {}{}</th>", html_lines(metric), html_lines(direction),
                          unit_of(metric) == "ratio" ? " (%)" : html_lines(" (" + unit_of(metric) + ")"));
    }
    text += "</tr></thead><tbody>\n";
    for (const auto& [row, entries] : entries_) {
      text += "<tr>";
      for (const std::string& label : row) text += fmt::format("<td>{}</td>", html_lines(label));
      for (const Column& column : columns_) {
        const auto entry = entries.find(column);
        text += fmt::format("<td class=\"n\">{}</td>",
                            entry == entries.end() ? "" : number_text(entry->second, unit_of(column.first)));
      }
      text += "</tr>\n";
    }
    return text + "</tbody></table></div>\n";
  }

 private:
  [[nodiscard]] std::string unit_of(const std::string& metric) const {
    const auto unit = units_.find(metric);
    return unit == units_.end() ? "ratio" : unit->second;
  }

  std::map<Row, std::map<Column, Seeds>> entries_;
  std::set<Column> columns_;
  std::map<std::string, std::string> units_;
  std::set<std::string> curves_;
};

std::string tables_html(const Bundle& bundle, const Jobs& jobs) {
  std::string html =
      "<section id=\"tables\"><h2>Numbers</h2>\n<p>Mean ± standard deviation (seeds); – is missing.</p>\n";
  for (const BundleSweep& sweep : bundle.sweeps) {
    SweepTable table;
    for (const BundleCell& cell : bundle.cells)
      if (cell.sweep == sweep.name) table.add(cell, jobs);
    html += fmt::format("<h3>{}</h3>\n{}", html_lines(sweep.name), table.html());
  }
  return html + "</section>\n";
}

// ---------------------------------------------------------------- provenance

std::string shell_quoted(std::string_view text) {
  std::string quoted = "'";
  for (const char letter : text) quoted += letter == '\'' ? std::string("'\\''") : std::string(1, letter);
  return quoted + "'";
}

std::string condition_of(const BundleCell& item) {
  const spec::Cell& c = item.cell;
  const auto value = [](const std::string& text) {
    std::string quoted = "\"";
    for (const char letter : text) quoted += letter == '"' ? std::string("\"\"") : std::string(1, letter);
    return quoted + "\"";
  };
  return fmt::format(
      "sweep={} and dataset={} and model={} and bits={} and defense={} and attack={} and "
      "protocol={} and direction={} and variant={} and seed={}",
      value(item.sweep), value(c.dataset), value(c.model), c.bits, value(c.defense), value(c.attack),
      value(c.protocol), value(c.direction), value(c.variant), c.seed);
}

std::string environment_text(const BundleJob& job, const char* name) {
  if (!job.attempt) return "";
  const Json environment = Json::parse(job.attempt->environment, nullptr, false);
  if (!environment.is_object() || !environment.contains(name)) return "";
  const Json& value = environment[name];
  return value.is_string() ? value.get<std::string>()
                           : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// A revision with changes is none that Git knows: the commit below them is what is left.
std::string checkout_of(std::string_view revision) {
  constexpr std::string_view kChanges = "+changes";
  if (revision.empty() || revision == "unknown") return "";
  const bool has_changes = revision.ends_with(kChanges);
  if (has_changes) revision.remove_suffix(kChanges.size());
  return fmt::format("git checkout {}{}\n", shell_quoted(revision),
                     has_changes ? "  # the code had changes beside it that were not committed" : "");
}

std::string rerun_html(const Bundle& bundle) {
  std::string html =
      "<section id=\"rerun\"><h2>How to run it again</h2>\n<p>A sweep file computes all of its cells; a "
      "finished "
      "job is not repeated in the same work folder. The keys of the jobs must come out as they are "
      "here.</p>\n";
  for (std::size_t at = 0; at < bundle.sweeps.size(); ++at) {
    const BundleSweep& sweep = bundle.sweeps[at];
    std::string commands;
    commands += checkout_of(sweep.code_revision);
    commands += fmt::format("gauntlet run sweeps/{}.yaml --workdir rerun\n", at + 1);
    commands += "gauntlet import . --workdir exported\n";
    commands += fmt::format("gauntlet compare {} {}\n", shell_quoted("exported/gauntlet.db:" + sweep.name),
                            shell_quoted("rerun/gauntlet.db:" + sweep.name));
    html += fmt::format(
        "<h3>{}</h3>\n<pre>{}</pre>\n<details><summary>sweeps/{}.yaml</summary><pre>{}</pre></details>\n",
        html_lines(sweep.name), html_lines(commands), at + 1, html_lines(sweep.spec_text));
  }
  return html + "</section>\n";
}

std::string cells_html(const Bundle& bundle, const Jobs& jobs) {
  std::map<std::string, std::size_t> numbers;
  for (std::size_t at = 0; at < bundle.sweeps.size(); ++at) numbers[bundle.sweeps[at].name] = at + 1;
  std::string html = "<section id=\"cells\"><h2>Cells</h2>\n";
  for (const BundleCell& item : bundle.cells) {
    const spec::Cell& c = item.cell;
    html += fmt::format(
        "<details><summary>{}</summary><pre>{}</pre><ul>",
        html_lines(fmt::format("{}: {} {} {} bits {} {} {} {} {} seed {}", item.sweep, c.dataset, c.model,
                               c.bits, c.defense, c.attack, c.protocol, c.direction, c.variant, c.seed)),
        html_lines(fmt::format("gauntlet run sweeps/{}.yaml --workdir rerun\n"
                               "gauntlet query --workdir rerun --where {}",
                               numbers[item.sweep], shell_quoted(condition_of(item)))));
    for (const auto& [role, key] : item.jobs) {
      html += fmt::format("<li>{} <a href=\"#j{}\"><code>{}</code></a> {}</li>", html_lines(role), key.hex(),
                          key.brief(), html_lines(jobs.at(key)->state));
    }
    html += "</ul></details>\n";
  }
  return html + "</section>\n";
}

std::string jobs_html(const Bundle& bundle) {
  std::string html = "<section id=\"jobs\"><h2>Jobs</h2>\n";
  for (const BundleJob& job : bundle.jobs) {
    html += fmt::format(
        "<details id=\"j{}\"><summary><code>{}</code> {} <span class=\"soft\">{}</span></summary>",
        job.key.hex(), job.key.brief(), html_lines(job.title), html_lines(job.state));
    if (job.attempt) {
      html += fmt::format("<p class=\"soft\">on {} ({}), code {}, {}; libraries {}; artifact manifest {}</p>",
                          html_lines(job.attempt->worker), html_lines(environment_text(job, "device")),
                          html_lines(environment_text(job, "revision")), human_duration(job.attempt->wall_s),
                          html_lines(environment_text(job, "versions")),
                          job.attempt->manifest.empty() ? "none" : html_lines(job.attempt->manifest));
    }
    html += fmt::format("<pre>{}</pre></details>\n",
                        html_lines(job.form.dump(1, ' ', false, Json::error_handler_t::replace)));
  }
  return html + "</section>\n";
}

std::string summary_html(const Bundle& bundle, bool has_curves, std::string_view program) {
  std::set<std::string> revisions, devices;
  std::size_t n_done = 0;
  for (const BundleJob& job : bundle.jobs) {
    n_done += job.state == "done" ? 1 : 0;
    if (!environment_text(job, "revision").empty()) revisions.insert(environment_text(job, "revision"));
    if (!environment_text(job, "device").empty()) devices.insert(environment_text(job, "device"));
  }
  return fmt::format(
      "<h1>Gauntlet export</h1>\n<p>{}, {}, {} ({} done). Measured by code {} on {}. Written by gauntlet "
      "{}.</p>\n"
      "<p><a href=\"#tables\">Numbers</a>{} · <a href=\"#rerun\">How to run it "
      "again</a> · <a href=\"#cells\">Cells</a> · <a href=\"#jobs\">Jobs</a></p>\n",
      count_of(bundle.sweeps.size(), "sweep"), count_of(bundle.cells.size(), "cell"),
      count_of(bundle.jobs.size(), "job"), n_done, html_lines(fmt::format("{}", fmt::join(revisions, ", "))),
      html_lines(fmt::format("{}", fmt::join(devices, ", "))), html_lines(program),
      has_curves ? " · <a href=\"#curves\">Curves</a>" : "");
}

}  // namespace

std::string report_of(const Bundle& bundle, std::string_view program) {
  Jobs jobs;
  for (const BundleJob& job : bundle.jobs) jobs.emplace(job.key, &job);
  const std::string curves = curves_html(bundle, jobs);
  return page_head("Gauntlet export") + summary_html(bundle, !curves.empty(), program) +
         tables_html(bundle, jobs) + curves + rerun_html(bundle) + cells_html(bundle, jobs) +
         jobs_html(bundle) + "</body></html>\n";
}

}  // namespace gauntlet::results
