#include "results/table/provenance.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <iterator>
#include <set>
#include <string_view>

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

/// Every bit of the number, as {:a} and printf's %a show it.
void add_bits(double number, std::string& text) {
  if (!std::isnormal(number) && number != 0) {
    fmt::format_to(std::back_inserter(text), "{:a}", number);
    return;
  }
  std::array<char, 32> digits{};
  const auto [end, error] =
      std::to_chars(digits.data(), digits.data() + digits.size(), std::abs(number), std::chars_format::hex);
  text.append(std::signbit(number) ? "-0x" : "0x").append(digits.data(), end);
}

/// A number with its axes, to be hashed.
void add_line(const CellRow& row, const ValueRow& value, std::string& text) {
  const spec::Cell& cell = row.cell;
  const auto add = [&text](std::string_view field) { text.append(field).push_back(kSeparator); };
  const auto add_integer = [&add](auto number) {
    const fmt::format_int digits(number);
    add({digits.data(), digits.size()});
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
  add_bits(value.value.value_or(0), text);
  text.push_back(kSeparator);
  const fmt::format_int n(value.n);
  text.append(n.data(), n.size()).push_back('\n');
}

/// Of the values' lines in their order, each once.
std::string hash_of(const CellSelection& selection, const std::vector<const ValueRow*>& used) {
  std::string text;
  text.reserve(used.size() * kLineBytes);
  std::vector<std::size_t> ends;
  ends.reserve(used.size());
  auto cell = selection.cells.begin();  // the values lie in the order of the cells
  for (const ValueRow* value : used) {
    while (cell->cell_id != value->cell_id) ++cell;
    add_line(*cell, *value, text);
    ends.push_back(text.size());
  }
  std::vector<std::string_view> lines;
  lines.reserve(used.size());
  std::size_t begin = 0;
  for (const std::size_t end : ends) {
    lines.push_back(std::string_view(text).substr(begin, end - begin));
    begin = end;
  }
  std::sort(lines.begin(), lines.end());
  lines.erase(std::unique(lines.begin(), lines.end()), lines.end());
  std::string sorted;
  sorted.reserve(text.size());
  for (const std::string_view line : lines) sorted += line;
  return to_hex(sha256(sorted));
}

template <class Names>
std::vector<std::string> listed(const Names& names) {
  return {names.begin(), names.end()};
}

}  // namespace

Provenance provenance_of(const CellSelection& selection, std::vector<const ValueRow*> used) {
  // As they lie in the selection.
  std::sort(used.begin(), used.end());
  used.erase(std::unique(used.begin(), used.end()), used.end());
  std::vector<std::int64_t> jobs;
  jobs.reserve(used.size());
  std::set<std::string_view> revisions;
  std::set<std::string_view> devices;
  std::set<std::string_view> documents;  ///< of versions: few, each of many values
  for (const ValueRow* value : used) {
    jobs.push_back(value->job_id);
    if (!value->revision.empty()) revisions.insert(value->revision);
    if (!value->device.empty()) devices.insert(value->device);
    documents.insert(value->versions);
  }
  std::sort(jobs.begin(), jobs.end());
  std::set<std::string> versions;
  for (const std::string_view document : documents) add_versions(std::string(document), versions);
  Provenance provenance;
  provenance.values_sha256 = hash_of(selection, used);
  provenance.n_values = static_cast<std::int64_t>(used.size());
  provenance.n_jobs = std::unique(jobs.begin(), jobs.end()) - jobs.begin();
  provenance.revisions = listed(revisions);
  provenance.versions = listed(versions);
  provenance.devices = listed(devices);
  return provenance;
}

}  // namespace gauntlet::results
