#include "core/spec/catalog.hpp"

#include <algorithm>
#include <array>

#include "core/base/check.hpp"
#include "core/base/text.hpp"
#include "core/spec/detail/embedded_catalog.hpp"
#include "core/spec/swap.hpp"

namespace gauntlet::spec {
namespace {

constexpr std::array kKinds = {EntryKind::kDataset, EntryKind::kModel, EntryKind::kAttack,
                               EntryKind::kDefense, EntryKind::kMetric};

/// Throws Json::exception on members that are missing or of another type.
Result<CatalogEntry> entry_from(const Json& value) {
  CatalogEntry entry;
  entry.name = value.at("name").get<std::string>();
  entry.version = value.at("version").get<std::int64_t>();
  entry.summary = value.at("summary").get<std::string>();
  entry.reference = value.at("reference").get<std::string>();
  const Json& can = value.at("capabilities");
  entry.image = can.at("image").get<bool>();
  entry.text = can.at("text").get<bool>();
  entry.trains = can.at("trains").get<bool>();
  entry.targeted = can.at("targeted").get<bool>();
  entry.black_box = can.at("black_box").get<bool>();
  entry.adaptive = can.at("adaptive").get<bool>();
  entry.joint = can.at("joint").get<bool>();
  entry.replaces_model = can.at("replaces_model").get<bool>();
  entry.crafts_with = can.at("crafts_with").get<std::string>();
  for (const Json& field : value.at("fields")) {
    GAUNTLET_TRY(FieldInfo info, field_from_json(field));
    entry.fields.push_back(std::move(info));
  }
  entry.dataset_defaults = value.at("dataset_defaults");
  return entry;
}

/// The attack that stands for an ensemble's sets. Its budget goes to every member that has such a field.
CatalogEntry ensemble_entry(const std::string& name, bool targeted, const std::vector<AttackSet>& sets) {
  CatalogEntry entry;
  entry.name = name;
  entry.summary = fmt::format("The worst of a set of {} for every query, clean ones included",
                              targeted ? "targeted attacks" : "attacks and restarts");
  entry.targeted = targeted;
  entry.reference = "docs/robustness.md";
  entry.adaptive = true;
  entry.ensemble = true;
  const auto budget = [](std::string field, double value, std::string doc) {
    return FieldInfo{std::move(field), FieldType::kReal, value, 0, 1, {}, std::move(doc)};
  };
  const std::vector<std::string> names = attack_set_names(sets, name);
  const bool has_usual = std::ranges::find(names, "standard") != names.end();
  entry.fields.push_back({"set",
                          FieldType::kText,
                          has_usual ? "standard" : names.front(),
                          {},
                          {},
                          names,
                          "Which attacks: a set's newest version, or the one after @."});
  entry.fields.push_back(
      budget("epsilon_image", 8.0 / 255, "Largest change of a pixel's colour, of the range 0 to 1."));
  entry.fields.push_back(
      budget("epsilon_text", 0.05, "Largest change of a text's value, of the range 0 to 1."));
  entry.fields.push_back({"rounding",
                          FieldType::kText,
                          "none",
                          {},
                          {},
                          {"none", "u8"},
                          "u8: images are rounded to whole grey levels inside the budget."});
  return entry;
}

/// Keys of an axis value in a sweep file that are not options of its entry.
constexpr std::array<std::string_view, 4> kReservedFields = {"name", "label", "when", "protocol"};

Status check_field_names(EntryKind kind, const CatalogEntry& entry) {
  for (const FieldInfo& field : entry.fields) {
    const bool is_source = kind == EntryKind::kAttack && field.name == "source";
    if (!is_source && std::ranges::find(kReservedFields, field.name) == kReservedFields.end()) continue;
    return fail(ErrorCode::kCorrupt,
                "catalog: {} '{}' has a field '{}', which means something else in a sweep file",
                name_of(kind), entry.name, field.name);
  }
  return {};
}

/// Defaults per dataset must be values the entry itself would accept.
Status check_dataset_defaults(EntryKind kind, const CatalogEntry& entry) {
  if (!entry.dataset_defaults.is_object()) {
    return fail(ErrorCode::kCorrupt, "catalog: dataset_defaults of {} '{}' is not an object", name_of(kind),
                entry.name);
  }
  for (const auto& [dataset, values] : entry.dataset_defaults.items()) {
    const auto complete = complete_config(entry.fields, values, entry.name);
    if (!complete) {
      return fail(ErrorCode::kCorrupt, "catalog: defaults of {} for dataset '{}': {}", name_of(kind), dataset,
                  complete.error().message);
    }
  }
  return {};
}

/// A defense that trains on crafted inputs names a known attack, and its craft_ fields are that attack's.
Status check_crafting(const Catalog& catalog, const CatalogEntry& defense) {
  if (defense.crafts_with.empty()) return {};
  const auto attack = catalog.find(EntryKind::kAttack, defense.crafts_with);
  if (!attack) {
    return fail(ErrorCode::kCorrupt, "catalog: defense '{}' crafts with an {}", defense.name,
                attack.error().message);
  }
  for (const FieldInfo& field : defense.fields) {
    if (!field.name.starts_with("craft_")) continue;
    if (std::ranges::find((*attack)->fields, field.name.substr(6), &FieldInfo::name) ==
        (*attack)->fields.end()) {
      return fail(ErrorCode::kCorrupt, "catalog: defense '{}' has a field '{}', but attack '{}' has no '{}'",
                  defense.name, field.name, defense.crafts_with, field.name.substr(6));
    }
  }
  return {};
}

}  // namespace

std::string_view name_of(EntryKind kind) {
  switch (kind) {
    case EntryKind::kDataset:
      return "dataset";
    case EntryKind::kModel:
      return "model";
    case EntryKind::kAttack:
      return "attack";
    case EntryKind::kDefense:
      return "defense";
    case EntryKind::kMetric:
      return "metric";
  }
  return "unknown";
}

Result<Catalog> Catalog::from_json(const Json& document) {
  Catalog catalog;
  try {
    if (document.at("format") != 1) {
      return fail(ErrorCode::kCorrupt, "catalog: format is {}; allowed: 1", document.at("format").dump());
    }
    for (const EntryKind kind : kKinds) {
      std::vector<CatalogEntry>& entries = catalog.entries_[kind];
      for (const Json& value : document.at(fmt::format("{}s", name_of(kind)))) {
        auto entry = entry_from(value);
        if (!entry) return fail(ErrorCode::kCorrupt, "catalog: {}", entry.error().message);
        if (std::ranges::find(entries, entry->name, &CatalogEntry::name) != entries.end()) {
          return fail(ErrorCode::kCorrupt, "catalog: {} '{}' is listed twice", name_of(kind), entry->name);
        }
        GAUNTLET_CHECK_OK(check_field_names(kind, *entry));
        GAUNTLET_CHECK_OK(check_dataset_defaults(kind, *entry));
        entries.push_back(std::move(*entry));
      }
    }
  } catch (const Json::exception& error) {
    return fail(ErrorCode::kCorrupt, "catalog: malformed: {}", error.what());
  }
  for (const CatalogEntry& defense : catalog.entries(EntryKind::kDefense)) {
    GAUNTLET_CHECK_OK(check_crafting(catalog, defense));
  }
  if (document.contains("attack_sets")) GAUNTLET_CHECK_OK(catalog.add_attack_sets(document["attack_sets"]));
  return catalog;
}

Status Catalog::add_attack_sets(const Json& sets) {
  for (const Json& value : sets) {
    GAUNTLET_TRY(AttackSet set, attack_set_from_json(value));
    attack_sets_.push_back(std::move(set));
  }
  std::vector<CatalogEntry>& attacks = entries_[EntryKind::kAttack];
  for (const AttackSet& set : attack_sets_) {
    if (!find(EntryKind::kAttack, set.ensemble))
      attacks.push_back(ensemble_entry(set.ensemble, set.targeted, attack_sets_));
  }
  return {};
}

const Catalog& Catalog::builtin() {
  static const Catalog catalog = [] {
    auto document = parse_json(detail::embedded_catalog_text(), "schemas/catalog.json");
    GAUNTLET_CHECK(document.has_value());
    auto sets = parse_json(detail::embedded_attack_sets_text(), "core/spec/attack_sets");
    GAUNTLET_CHECK(sets.has_value());
    (*document)["attack_sets"] = std::move(*sets);
    auto read = from_json(*document);
    GAUNTLET_CHECK(read.has_value());
    GAUNTLET_CHECK(read->add(EntryKind::kAttack, swap_entry()).has_value());
    return std::move(*read);
  }();
  return catalog;
}

const std::vector<CatalogEntry>& Catalog::entries(EntryKind kind) const {
  static const std::vector<CatalogEntry> kNone;
  const auto found = entries_.find(kind);
  return found == entries_.end() ? kNone : found->second;
}

Result<const CatalogEntry*> Catalog::find(EntryKind kind, std::string_view name) const {
  const std::vector<CatalogEntry>& all = entries(kind);
  const auto found = std::ranges::find(all, name, &CatalogEntry::name);
  if (found != all.end()) return &*found;
  return fail(ErrorCode::kNotFound, "{}", unknown_name_message(name_of(kind), name, names(kind)));
}

Status Catalog::add(EntryKind kind, CatalogEntry entry) {
  std::vector<CatalogEntry>& all = entries_[kind];
  if (std::ranges::find(all, entry.name, &CatalogEntry::name) != all.end()) {
    return fail(ErrorCode::kInvalid, "{} '{}' is in the catalog already; give the entry another name",
                name_of(kind), entry.name);
  }
  if (const Status names = check_field_names(kind, entry); !names)
    return fail(ErrorCode::kInvalid, "{}", names.error().message);
  all.push_back(std::move(entry));
  return {};
}

std::vector<std::string> Catalog::names(EntryKind kind) const {
  std::vector<std::string> all;
  for (const CatalogEntry& entry : entries(kind)) all.push_back(entry.name);
  return all;
}

}  // namespace gauntlet::spec
