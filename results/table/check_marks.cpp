#include "results/table/check_marks.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "results/store/check_rows.hpp"
#include "results/table/axes.hpp"

namespace gauntlet::results {
namespace {

constexpr std::string_view kMark = " †";

using FailedChecks = std::map<CheckSubject, std::set<std::string>>;

Result<FailedChecks> failed_checks(db::Connection& connection) {
  GAUNTLET_TRY(const std::vector<CheckRow> rows, read_checks(connection));
  FailedChecks failed;
  for (const CheckRow& row : rows) {
    if (row.verdict == "fail") failed[row.subject].insert(row.check);
  }
  return failed;
}

void collect(const TableEntry& entry, const FailedChecks& failed, std::set<std::string>& checks) {
  for (const SeedValue& seed : entry.seeds) {
    const spec::Cell& cell = entry.cell;
    const auto found = failed.find({.dataset = cell.dataset,
                                    .model = cell.model,
                                    .bits = cell.bits,
                                    .defense = cell.defense,
                                    .direction = cell.direction,
                                    .variant = cell.variant,
                                    .seed = seed.seed});
    if (found != failed.end()) checks.insert(found->second.begin(), found->second.end());
  }
}

/// Where a heading's labels name the defense; nothing when that level went into the title.
std::optional<std::size_t> level_of_defense(const TableSpec& spec, const std::vector<Level>& levels,
                                            const std::vector<std::string>& titles) {
  for (const Level& level : levels) {
    if (std::ranges::find(level, "defense") == level.end()) continue;
    const auto found = std::ranges::find(titles, title_of(spec, level));
    if (found != titles.end()) return static_cast<std::size_t>(found - titles.begin());
  }
  return std::nullopt;
}

}  // namespace

Status add_check_marks(db::Connection& connection, const TableSpec& spec, Table& table) {
  if (!spec.shows("defense")) return {};
  GAUNTLET_TRY(const FailedChecks failed, failed_checks(connection));
  if (failed.empty()) return {};
  std::map<std::string, std::set<std::string>> named;
  const auto mark = [&](Heading& heading, std::optional<std::size_t> level,
                        const std::set<std::string>& checks) {
    if (checks.empty() || heading.reference) return;
    if (level && *level < heading.labels.size()) heading.labels[*level] += kMark;
    named[heading.values["defense"]].insert(checks.begin(), checks.end());
  };
  const auto row_level = level_of_defense(spec, spec.rows, table.row_titles);
  const auto column_level = level_of_defense(spec, spec.columns, table.column_titles);
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    if (!table.rows[row].values.contains("defense")) continue;
    std::set<std::string> checks;
    for (const TableEntry& entry : table.entries[row]) collect(entry, failed, checks);
    mark(table.rows[row], row_level, checks);
  }
  for (std::size_t column = 0; column < table.columns.size(); ++column) {
    if (!table.columns[column].values.contains("defense")) continue;
    std::set<std::string> checks;
    for (const auto& line : table.entries) collect(line[column], failed, checks);
    mark(table.columns[column], column_level, checks);
  }
  std::vector<std::string> parts;
  for (const auto& [defense, checks] : named)
    parts.push_back(fmt::format("{} {}", label_of(spec, "defense", defense), fmt::join(checks, ", ")));
  if (!parts.empty())
    table.method.push_back(
        fmt::format("† robustness checks fail: {} (gauntlet verify --robustness).", fmt::join(parts, "; ")));
  return {};
}

}  // namespace gauntlet::results
