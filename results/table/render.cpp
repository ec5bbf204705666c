#include "results/table/render.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "core/base/text.hpp"
#include "results/table/render_parts.hpp"

namespace gauntlet::results {
namespace {

bool is_percent(const Table& table) {
  return table.scale == Scale::kPercent && table.units.size() == 1 && table.units.front() == "ratio";
}

std::set<std::int64_t> counts_of(const Table& table) {
  std::set<std::int64_t> counts;
  for (const auto& line : table.entries) {
    for (const TableEntry& entry : line) {
      if (entry.n > 0) counts.insert(entry.n);
    }
  }
  return counts;
}

bool has_partial(const Table& table) {
  return std::any_of(table.entries.begin(), table.entries.end(), [](const auto& line) {
    return std::any_of(line.begin(), line.end(),
                       [](const TableEntry& e) { return e.state == EntryState::kPartial; });
  });
}

bool has_marks(const Table& table) {
  return std::any_of(table.entries.begin(), table.entries.end(), [](const auto& line) {
    return std::any_of(line.begin(), line.end(), [](const TableEntry& e) { return e.mark != Mark::kNone; });
  });
}

bool has_intervals(const Table& table) {
  return std::any_of(table.entries.begin(), table.entries.end(), [](const auto& line) {
    return std::any_of(line.begin(), line.end(), [](const TableEntry& e) { return e.interval.has_value(); });
  });
}

std::string what_it_shows(const Table& table) {
  if (table.metrics.empty()) return "";
  std::string text = fmt::format("{}{}", fmt::join(table.metrics, ", "), unit_text(table));
  const std::string_view spread =
      has_intervals(table) ? "[confidence interval]" : "± sample standard deviation";
  if (shows_counts(table)) return text + fmt::format("; mean {} (number of seeds)", spread);
  const std::set<std::int64_t> counts = counts_of(table);
  if (counts.empty()) return text;
  if (*counts.begin() == 1)
    return text + (has_intervals(table) ? "; one seed, [confidence interval]" : "; one seed");
  return text + fmt::format("; mean {} over {} seeds", spread, *counts.begin());
}

}  // namespace

std::string unit_text(const Table& table) {
  if (is_percent(table)) return " in percent";
  if (table.units.size() != 1 || table.units.front() == "ratio") return "";
  return " in " + table.units.front();
}

double display_factor(const Table& table) { return is_percent(table) ? 100 : 1; }

bool shows_counts(const Table& table) { return counts_of(table).size() > 1 || has_partial(table); }

std::string entry_text(const Table& table, const TableEntry& entry, bool with_n) {
  switch (entry.state) {
    case EntryState::kBlank:
      return "";
    case EntryState::kMissing:
      return "–";
    case EntryState::kValue:
    case EntryState::kPartial:
      break;
  }
  if (!entry.text.empty()) return entry.text;
  const double factor = display_factor(table);
  const auto number = [&](double value) { return fmt::format("{:.{}f}", value * factor, table.decimals); };
  std::string text = number(entry.mean);
  if (entry.interval) {
    text += fmt::format(" [{}, {}]", number(entry.interval->low), number(entry.interval->high));
  } else if (entry.n > 1) {
    text += " ± " + number(entry.std);
  }
  if (entry.state == EntryState::kPartial) {
    text += fmt::format(" ({} of {})", entry.n, entry.expected);
  } else if (with_n) {
    text += fmt::format(" ({})", entry.n);
  }
  return entry.significant ? text + "†" : text;
}

std::string part_text(const Table& table, const TableEntry& entry, Part part, bool with_n) {
  if (part == Part::kValue) return entry_text(table, entry, with_n);
  if (!entry.paper) return "";
  const double factor = display_factor(table);
  if (part == Part::kPaper) return fmt::format("{:.{}f}", *entry.paper * factor, table.decimals);
  if (entry.n == 0) return "";
  // Minus zero would be a difference in the eyes of a reader.
  const std::string text = fmt::format("{:+.{}f}", (entry.mean - *entry.paper) * factor, table.decimals);
  return text.find_first_not_of("-0.") == std::string::npos ? "+" + text.substr(1) : text;
}

std::vector<std::size_t> shown_rows(const Table& table) {
  std::vector<std::size_t> order;
  for (const bool reference : {true, false}) {
    for (std::size_t row = 0; row < table.rows.size(); ++row) {
      if (table.rows[row].reference == reference) order.push_back(row);
    }
  }
  return order;
}

std::vector<std::string> footer(const Table& table, std::string_view best, std::string_view second) {
  std::vector<std::string> lines;
  std::string first = what_it_shows(table);
  if (has_marks(table)) {
    first += fmt::format("; {} best, {} second in its {}", best, second,
                         table.best == BestOf::kBlock ? "block" : "column");
  }
  if (!first.empty()) lines.push_back(first + ".");
  lines.insert(lines.end(), table.method.begin(), table.method.end());
  if (!table.paper.source.empty()) {
    lines.push_back(fmt::format("{}: as printed, from {}{}.", table.paper.label, table.paper.source,
                                table.paper.difference ? "; Δ: measured minus printed" : ""));
  }
  if (!table.missing.empty())
    lines.push_back(fmt::format("– missing: {}.", count_of(table.missing.size(), "number")));
  if (!table.note.empty()) lines.push_back(table.note);
  const Provenance& from = table.provenance;
  std::string source = fmt::format("{} of {}", count_of(static_cast<std::size_t>(from.n_values), "number"),
                                   count_of(static_cast<std::size_t>(from.n_jobs), "job"));
  if (!from.revisions.empty()) source += fmt::format("; code {}", fmt::join(from.revisions, ", "));
  if (!from.versions.empty()) source += fmt::format("; {}", fmt::join(from.versions, ", "));
  if (!from.devices.empty()) source += fmt::format("; on {}", fmt::join(from.devices, ", "));
  lines.push_back(source + ".");
  lines.push_back("SHA-256 of the values: " + from.values_sha256);
  return lines;
}

const std::vector<std::string>& format_names() {
  static const std::vector<std::string> names = {"text", "md", "latex", "html", "csv", "json"};
  return names;
}

Result<Format> format_from(std::string_view name) {
  if (name == "md") return Format::kMarkdown;
  if (name == "csv") return Format::kCsv;
  if (name == "json") return Format::kJson;
  if (name == "text") return Format::kText;
  if (name == "latex") return Format::kLatex;
  if (name == "html") return Format::kHtml;
  return fail(ErrorCode::kInvalid, "{}", unknown_name_message("format", name, format_names()));
}

std::string render(const Table& table, Format format) {
  switch (format) {
    case Format::kMarkdown:
      return render_markdown(table);
    case Format::kCsv:
      return render_csv(table);
    case Format::kJson:
      return render_json(table);
    case Format::kText:
      return render_text(table, false);
    case Format::kTerminal:
      return render_text(table, true);
    case Format::kLatex:
      return render_latex(table);
    case Format::kHtml:
      return render_html(table);
  }
  return "";
}

}  // namespace gauntlet::results
