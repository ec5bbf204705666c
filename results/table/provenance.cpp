#include "results/table/provenance.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "core/base/hash.hpp"
#include "core/base/json.hpp"

namespace gauntlet::results {
namespace {

constexpr char kSeparator = '\x1f';
constexpr std::size_t kLineBytes = 160;  ///< more than most have

// {"torch": "2.15.0"} as "torch 2.15.0"; anything else as it came.
void add_versions(const std::string& document, std::set<std::string>& versions) {
  if (document.empty()) return;
  const Result<Json> parsed = parse_json(document, "versions");
  if (!parsed || !parsed->is_object()) {
    versions.insert(document);
    return;
  }
  for (const auto& [name, value] : parsed->items()) {
    versions.insert(fmt::format("{} {}", name, value.is_string() ? value.get<std::string>() : value.dump()));
  }
}

/// A number with its axes, to be hashed.
std::string line_of(const CellRow& row, const ValueRow& value) {
  const spec::Cell& cell = row.cell;
  std::string line;
  line.reserve(kLineBytes);
  const auto add = [&line](std::string_view field) { line.append(field).push_back(kSeparator); };
  const auto add_integer = [&add](auto number) {
    const fmt::format_int text(number);
    add({text.data(), text.size()});
  };
  add(row.sweep);
  add(cell.dataset);
  add(cell.model);
  add_integer(cell.bits);
  add(cell.defense);
  add(cell.attack);
  add(cell.protocol);
  add(cell.direction);
  add(cell.variant);
  add_integer(cell.seed);
  add(value.metric);
  // {:a} shows every bit of the number.
  fmt::format_to(std::back_inserter(line), "{:a}\x1f{}\n", value.value.value_or(0), value.n);
  return line;
}

/// Of the lines in their order, each once.
std::string hash_of(std::vector<std::string> lines) {
  std::sort(lines.begin(), lines.end());
  lines.erase(std::unique(lines.begin(), lines.end()), lines.end());
  std::string text;
  text.reserve(lines.size() * kLineBytes);
  for (const std::string& line : lines) text += line;
  return to_hex(sha256(text));
}

std::vector<std::string> listed(const std::set<std::string>& names) { return {names.begin(), names.end()}; }

}  // namespace

Provenance provenance_of(const CellSelection& selection, const std::set<const ValueRow*>& used) {
  std::unordered_map<std::int64_t, const CellRow*> cells;
  for (const CellRow& cell : selection.cells) cells.emplace(cell.cell_id, &cell);
  std::vector<std::string> lines;
  lines.reserve(used.size());
  std::unordered_set<std::int64_t> jobs;
  std::set<std::string> revisions;
  std::set<std::string> versions;
  std::set<std::string> devices;
  std::set<std::string_view> documents;  ///< of versions: few, each of many values
  for (const ValueRow* value : used) {
    lines.push_back(line_of(*cells.at(value->cell_id), *value));
    jobs.insert(value->job_id);
    if (!value->revision.empty()) revisions.insert(value->revision);
    if (!value->device.empty()) devices.insert(value->device);
    documents.insert(value->versions);
  }
  for (const std::string_view document : documents) add_versions(std::string(document), versions);
  Provenance provenance;
  provenance.values_sha256 = hash_of(std::move(lines));
  provenance.n_values = static_cast<std::int64_t>(used.size());
  provenance.n_jobs = static_cast<std::int64_t>(jobs.size());
  provenance.revisions = listed(revisions);
  provenance.versions = listed(versions);
  provenance.devices = listed(devices);
  return provenance;
}

}  // namespace gauntlet::results
