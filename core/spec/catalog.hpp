// The catalog: every registered entry as data. Programs without torch read it from schemas/catalog.json,
// which gauntlet-rank --catalog writes and which is embedded in `gauntlet`. Thread safety: immutable after
// reading.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/fields.hpp"
#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "core/spec/attack_sets.hpp"

namespace gauntlet::spec {

enum class EntryKind : std::uint8_t { kDataset, kModel, kAttack, kDefense, kMetric };
[[nodiscard]] std::string_view name_of(EntryKind kind);  // "dataset", "model", …

struct ExternalEntry;  // external.hpp

/// An entry as the catalog tells it. See core/registry/entry.hpp for what the capabilities mean.
struct CatalogEntry {
  std::string name;
  std::int64_t version = 1;
  std::string summary;
  std::string reference;
  bool image = true;
  bool text = true;
  bool trains = false;
  bool targeted = false;
  bool black_box = false;
  bool adaptive = false;
  bool joint = false;
  bool replaces_model = false;
  bool ensemble = false;  ///< an attack that stands for the members of a set; no program has such an entry
  std::string crafts_with;
  std::vector<FieldInfo> fields;
  Json dataset_defaults = Json::object();
  std::shared_ptr<const ExternalEntry> external = nullptr;  ///< null for built-in entries
};

class Catalog {
 public:
  /// Reads {"format": 1, "datasets": […], "models": […], "attacks": […], "defenses": […], "metrics": […]}
  /// and, where there are any, "attack_sets": […], whose ensembles become attacks of the catalog.
  [[nodiscard]] static Result<Catalog> from_json(const Json& document);
  /// The catalog this program was built with.
  [[nodiscard]] static const Catalog& builtin();

  [[nodiscard]] const std::vector<CatalogEntry>& entries(EntryKind kind) const;
  /// Errors (kNotFound): names the known ones and the nearest.
  [[nodiscard]] Result<const CatalogEntry*> find(EntryKind kind, std::string_view name) const;
  [[nodiscard]] std::vector<std::string> names(EntryKind kind) const;
  /// Errors (kInvalid): an entry of that kind and name is there; a field's name means something else in a
  /// sweep file.
  [[nodiscard]] Status add(EntryKind kind, CatalogEntry entry);
  [[nodiscard]] const std::vector<AttackSet>& attack_sets() const { return attack_sets_; }

 private:
  Status add_attack_sets(const Json& sets);

  std::map<EntryKind, std::vector<CatalogEntry>> entries_;
  std::vector<AttackSet> attack_sets_;
};

}  // namespace gauntlet::spec
