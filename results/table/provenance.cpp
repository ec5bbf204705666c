#include "results/table/provenance.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>
#include <string_view>
#include <unordered_map>

#include "core/base/hash.hpp"
#include "core/base/json.hpp"

namespace gauntlet::results {
namespace {

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

std::vector<std::string> listed(const std::set<std::string>& names) { return {names.begin(), names.end()}; }

}  // namespace

Provenance provenance_of(const CellSelection& selection, const std::set<const ValueRow*>& used) {
  std::unordered_map<std::int64_t, const CellRow*> cells;
  for (const CellRow& cell : selection.cells) cells.emplace(cell.cell_id, &cell);
  std::set<std::string> lines;
  std::set<std::int64_t> jobs;
  std::set<std::string> revisions;
  std::set<std::string> versions;
  std::set<std::string> devices;
  std::set<std::string_view> documents;  ///< of versions: few, each of many values
  for (const ValueRow* value : used) {
    const CellRow& row = *cells.at(value->cell_id);
    const spec::Cell& cell = row.cell;
    // {:a} shows every bit of the number.
    lines.insert(fmt::format("{}\x1f{}\x1f{}\x1f{}\x1f{}\x1f{}\x1f{}\x1f{}\x1f{}\x1f{}\x1f{}\x1f{:a}\x1f{}\n",
                             row.sweep, cell.dataset, cell.model, cell.bits, cell.defense, cell.attack,
                             cell.protocol, cell.direction, cell.variant, cell.seed, value->metric,
                             value->value.value_or(0), value->n));
    jobs.insert(value->job_id);
    if (!value->revision.empty()) revisions.insert(value->revision);
    if (!value->device.empty()) devices.insert(value->device);
    documents.insert(value->versions);
  }
  for (const std::string_view document : documents) add_versions(std::string(document), versions);
  Provenance provenance;
  provenance.values_sha256 = to_hex(sha256(fmt::format("{}", fmt::join(lines, ""))));
  provenance.n_values = static_cast<std::int64_t>(used.size());
  provenance.n_jobs = static_cast<std::int64_t>(jobs.size());
  provenance.revisions = listed(revisions);
  provenance.versions = listed(versions);
  provenance.devices = listed(devices);
  return provenance;
}

}  // namespace gauntlet::results
