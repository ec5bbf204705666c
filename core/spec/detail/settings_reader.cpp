#include <algorithm>

#include "core/base/text.hpp"
#include "core/spec/detail/section_readers.hpp"

namespace gauntlet::spec::detail {
namespace {

const Names kOwners = {"dataset", "model", "attack", "defense"};

std::optional<EntryKind> owner_kind(std::string_view owner) {
  for (const EntryKind kind :
       {EntryKind::kDataset, EntryKind::kModel, EntryKind::kAttack, EntryKind::kDefense}) {
    if (owner == name_of(kind)) return kind;
  }
  return std::nullopt;
}

bool is_protocol(const Assignment& assignment) {
  return assignment.kind == EntryKind::kAttack && assignment.field == "protocol";
}

void check_protocol(const Assignment& assignment, Report& report) {
  const bool is_known =
      assignment.value.is_string() &&
      std::ranges::find(kProtocols, assignment.value.get_ref<const std::string&>()) != kProtocols.end();
  if (is_known) return;
  const std::string word =
      assignment.value.is_string() ? assignment.value.get<std::string>() : assignment.value.dump();
  report.add(assignment.place, "{}", unknown_name_message("protocol", word, kProtocols));
}

void check_assignment(const Assignment& assignment, const std::vector<const CatalogEntry*>& candidates,
                      Report& report) {
  if (is_protocol(assignment)) {
    check_protocol(assignment, report);
    return;
  }
  bool exists = false;
  Names known;
  if (assignment.kind == EntryKind::kAttack) known.push_back("attack.protocol");
  for (const CatalogEntry* entry : candidates) {
    for (const FieldInfo& field : entry->fields) {
      const std::string full = fmt::format("{}.{}", name_of(assignment.kind), field.name);
      if (std::ranges::find(known, full) == known.end()) known.push_back(full);
      if (field.name != assignment.field) continue;
      exists = true;
      const auto normal = normalize_field(field, assignment.value);
      if (!normal) report.add(assignment.place, "{}: {}", entry->name, normal.error().message);
    }
  }
  if (!exists) {
    const std::string full = fmt::format("{}.{}", name_of(assignment.kind), assignment.field);
    report.add(assignment.place, "{}", unknown_name_message("option", full, known));
  }
}

}  // namespace

std::vector<Assignment> read_assignments(const YamlNode& node, std::string_view what, Report& report) {
  std::vector<Assignment> assignments;
  if (!expect_map(node, what, report)) return assignments;
  for (const YamlNode::Member& member : node.members) {
    const std::string& key = member.key->text;
    const std::size_t dot = key.find('.');
    const std::string owner = key.substr(0, dot);
    const auto kind = owner_kind(owner);
    if (dot == std::string::npos || !kind) {
      report.add(member.key->place, "'{}' in {} is not of the form kind.option; {}", key, what,
                 unknown_name_message("kind", owner, kOwners));
      continue;
    }
    const auto value = scalar_value(*member.value);
    if (!value) {
      report.add(member.value->place, "'{}' in {} is {}; allowed: one value", key, what, seen(*member.value));
      continue;
    }
    assignments.push_back({*kind, key.substr(dot + 1), *value, member.key->place});
  }
  return assignments;
}

void check_assignments(const std::vector<Assignment>& assignments,
                       const std::map<EntryKind, std::vector<const CatalogEntry*>>& candidates,
                       Report& report) {
  static const std::vector<const CatalogEntry*> kNone;
  for (const Assignment& assignment : assignments) {
    const auto found = candidates.find(assignment.kind);
    check_assignment(assignment, found == candidates.end() ? kNone : found->second, report);
  }
}

}  // namespace gauntlet::spec::detail
