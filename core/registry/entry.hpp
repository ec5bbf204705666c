// What every registered entry says of itself (target model, attack, defense, dataset, metric), torch-free.
// An entry is one .cpp file that ends in `constinit const XEntry <name>_entry{…};` and one line in a .def
// list.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/base/fields.hpp"
#include "core/base/json.hpp"

namespace gauntlet {

enum class Modality : std::uint8_t { kImage, kText };
[[nodiscard]] std::string_view name_of(Modality modality);  // "image", "text"
[[nodiscard]] Result<Modality> modality_from(std::string_view name);
[[nodiscard]] constexpr Modality other(Modality modality) {
  return modality == Modality::kImage ? Modality::kText : Modality::kImage;
}

/// Facts about an entry that the sweep language and the job graph decide by. Data, not behaviour: they are
/// written into the catalog, so a program without torch knows them. Fields that make no sense for a kind keep
/// their default.
struct Capabilities {
  bool image = true;       ///< attacks, defenses: works on image queries
  bool text = true;        ///< attacks, defenses: works on text queries
  bool trains = false;     ///< attacks, defenses: has a train_attack / train_defense job of its own
  bool targeted = false;   ///< attacks: aims at a target label; metrics: needs one (t-MAP)
  bool adaptive = false;   ///< attacks: can follow gradients through a defended pipeline
  bool black_box = false;  ///< attacks: sees ranked lists of the target model and nothing else of it
  bool joint = false;      ///< defenses: branches share parameters, one training job serves both modalities
  bool replaces_model =
      false;  ///< defenses: robust weights instead of the target's; the retrieval set is encoded again
  /// Defenses: the attack that makes their adversarial training set, empty if none. The defense's fields
  /// named `craft_<field>` set that attack's fields; `n_train` (0 = all) is the number of training rows
  /// crafted.
  std::string_view crafts_with = {};
  bool operator==(const Capabilities&) const = default;
};

/// Common head of every entry.
struct EntryInfo {
  std::string_view name;       ///< registry key = file stem = symbol prefix
  std::int64_t version = 1;    ///< raised when the same config would give different numbers
  std::string_view summary;    ///< one line
  std::string_view reference;  ///< paper and section it implements
  Capabilities capabilities = {};
  std::vector<FieldInfo> (*fields)() = nullptr;
  /// JSON object {"<dataset name>": {"<field>": value}}: defaults that differ per dataset. Empty for none.
  std::string_view dataset_defaults = {};
};

/// The catalog's JSON object of an entry.
[[nodiscard]] Json describe(const EntryInfo& entry);

}  // namespace gauntlet
