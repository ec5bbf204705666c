#include "core/spec/attack_sets.hpp"

#include <algorithm>

#include "core/base/text.hpp"

namespace gauntlet::spec {
namespace {

/// The members a line of the file stands for. Throws Json::exception on what is missing or of another type.
void add_members(const Json& line, std::vector<SetMember>& members) {
  SetMember member;
  member.name = line.at("name").get<std::string>();
  member.attack = line.at("attack").get<std::string>();
  member.options = line.at("options");
  member.control = line.value("control", false);
  member.adaptive_only = line.value("adaptive_only", false);
  if (!line.contains("each")) {
    members.push_back(std::move(member));
    return;
  }
  for (const auto& [option, values] : line.at("each").items()) {
    for (const Json& value : values) {
      SetMember& one = members.emplace_back(member);
      one.name += "-" + (value.is_string() ? value.get<std::string>() : value.dump());
      one.options[option] = value;
    }
  }
}

Status check_names(const AttackSet& set) {
  std::vector<std::string> names;
  for (const SetMember& member : set.members) {
    if (std::ranges::find(names, member.name) != names.end()) {
      return fail(ErrorCode::kCorrupt, "attack set {}: two members are called '{}'", set.text(), member.name);
    }
    names.push_back(member.name);
  }
  if (!names.empty()) return {};
  return fail(ErrorCode::kCorrupt, "attack set {} has no members", set.text());
}

}  // namespace

std::string AttackSet::text() const { return fmt::format("{}/{}@{}", ensemble, name, version); }

Result<AttackSet> attack_set_from_json(const Json& value) {
  AttackSet set;
  try {
    set.ensemble = value.at("ensemble").get<std::string>();
    set.name = value.at("set").get<std::string>();
    set.targeted = value.value("targeted", false);
    set.version = value.at("version").get<std::int64_t>();
    for (const Json& line : value.at("members")) add_members(line, set.members);
  } catch (const Json::exception& error) {
    return fail(ErrorCode::kCorrupt, "an attack set is malformed: {}", error.what());
  }
  GAUNTLET_CHECK_OK(check_names(set));
  return set;
}

Result<const AttackSet*> find_attack_set(const std::vector<AttackSet>& sets, std::string_view ensemble,
                                         std::string_view written) {
  const AttackSet* found = nullptr;
  for (const AttackSet& set : sets) {
    if (set.ensemble != ensemble) continue;
    if (written == fmt::format("{}@{}", set.name, set.version)) return &set;
    if (written == set.name && (found == nullptr || found->version < set.version)) found = &set;
  }
  if (found != nullptr) return found;
  return fail(ErrorCode::kNotFound, "{}",
              unknown_name_message("attack set", written, attack_set_names(sets, ensemble)));
}

std::vector<std::string> attack_set_names(const std::vector<AttackSet>& sets, std::string_view ensemble) {
  std::vector<std::string> plain;
  std::vector<std::string> versioned;
  for (const AttackSet& set : sets) {
    if (set.ensemble != ensemble) continue;
    if (std::ranges::find(plain, set.name) == plain.end()) plain.push_back(set.name);
    versioned.push_back(fmt::format("{}@{}", set.name, set.version));
  }
  plain.insert(plain.end(), versioned.begin(), versioned.end());
  return plain;
}

}  // namespace gauntlet::spec
