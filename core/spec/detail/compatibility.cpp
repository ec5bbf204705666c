#include "core/spec/detail/compatibility.hpp"

#include <algorithm>

namespace gauntlet::spec::detail {
namespace {

/// A text as it may stand in a flow mapping.
std::string quoted_if_needed(std::string_view text) {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == ' ';
  };
  const auto is_edge = [](char c) { return c == ' ' || c == '-' || c == '.'; };
  const bool is_safe =
      !text.empty() && std::ranges::all_of(text, is_plain) && !is_edge(text.front()) && text.back() != ' ';
  return is_safe ? std::string(text) : Json(text).dump();
}

}  // namespace

std::string exclude_line(std::string_view axis, std::string_view value, std::string_view other_axis,
                         std::string_view other_value) {
  return fmt::format("{{{}: {}, {}: {}}}", axis, quoted_if_needed(value), other_axis,
                     quoted_if_needed(other_value));
}

bool Compatibility::check(const CellPlan& cell) {
  const bool attack_fits = check_attacked(cell);
  const bool defense_fits = check_modality(cell, Axis::kDefense, *cell.defense->entry);
  const bool protocol_fits = !cell.is_attacked() || check_protocol(cell);
  const bool model_fits = cell.model->entry->external == nullptr || check_external_model(cell);
  return attack_fits && defense_fits && protocol_fits && model_fits;
}

/// An external target model answers with codes and nothing else: built-in attacks and defenses need the
/// network itself.
bool Compatibility::check_external_model(const CellPlan& cell) {
  bool fits = true;
  for (const auto& [axis, entry] :
       {std::pair(Axis::kAttack, cell.attack->entry), std::pair(Axis::kDefense, cell.defense->entry)}) {
    if (axis == Axis::kDefense && entry->external != nullptr && entry->external->refuses) {
      fits = refuse(cell, axis, Axis::kModel,
                    "refuses queries, and an external target model gives codes alone") &&
             fits;
    }
    if (entry->external != nullptr || entry->name == "none") continue;
    fits = refuse(cell, axis, Axis::kModel,
                  "needs the target model's own network, and an external one gives codes alone") &&
           fits;
  }
  return fits;
}

/// An attack works on the modality of every side it attacks.
bool Compatibility::check_attacked(const CellPlan& cell) {
  const CatalogEntry& attack = *cell.attack->entry;
  bool fits = !cell.scope.attacks_queries() || check_modality(cell, Axis::kAttack, attack);
  if (cell.scope.on_queries > 0 && attack.external != nullptr && !attack.external->given.empty()) {
    fits = refuse(cell, Axis::kAttack, Axis::kDirection,
                  "is made of inputs that were given for all queries, and on_queries leaves some out");
  }
  if (!cell.scope.attacks_database()) return fits;
  if (!(cell.image_queries ? attack.text : attack.image)) {
    fits = refuse(cell, Axis::kAttack, Axis::kDirection,
                  cell.image_queries ? "works on images only, and the database of i2t holds texts"
                                     : "works on texts only, and the database of t2i holds images");
  }
  return fits;
}

bool Compatibility::check_modality(const CellPlan& cell, Axis axis, const CatalogEntry& entry) {
  const bool fits = cell.image_queries ? entry.image : entry.text;
  if (fits || entry.name == "none") return true;
  return refuse(cell, axis, Axis::kDirection,
                cell.image_queries ? "works on texts only, and i2t asks with images"
                                   : "works on images only, and t2i asks with texts");
}

bool Compatibility::check_protocol(const CellPlan& cell) {
  const CatalogEntry& attack = *cell.attack->entry;
  const CatalogEntry& defense = *cell.defense->entry;
  if (cell.source != nullptr) {
    if (cell.attack->protocol != "static")
      return refuse(cell, Axis::kAttack, Axis::kDefense,
                    "is made for another target, which is always 'static'");
    if (cell.source->defense->entry->name != "none" && !attack.adaptive)
      return refuse(cell, Axis::kAttack, Axis::kDefense, "cannot be made for a source with a defense");
    return true;
  }
  if (cell.attack->protocol == "adaptive") {
    if (!attack.adaptive) {
      return refuse(cell, Axis::kAttack, Axis::kDefense,
                    "cannot follow gradients through a defense, which 'adaptive' asks for");
    }
    if (defense.name == "none")
      return refuse(cell, Axis::kAttack, Axis::kDefense, "is adaptive, and there is no defense to adapt to");
    if (defense.external) {
      return refuse(cell, Axis::kAttack, Axis::kDefense,
                    "follows gradients through the defense, and an external one has none to follow");
    }
    if (!cell.scope.attacks_queries() && !defense.replaces_model) {
      return refuse(cell, Axis::kAttack, Axis::kDefense,
                    "attacks the database, which the defense leaves to the target model: there is nothing to "
                    "adapt to");
    }
  }
  if (cell.attack->protocol == "retrained") {
    if (!attack.trains)
      return refuse(cell, Axis::kAttack, Axis::kDefense,
                    "learns nothing, so there is nothing to be 'retrained'");
    if (!defense.replaces_model) {
      return refuse(cell, Axis::kAttack, Axis::kDefense,
                    "is retrained, and the defense leaves the target model as it was");
    }
  }
  return true;
}

bool Compatibility::refuse(const CellPlan& cell, Axis one, Axis other, std::string_view reason) {
  const std::uint32_t a = at(cell.point, one);
  const std::uint32_t b = at(cell.point, other);
  if (!refused_.emplace(one, a, other, b).second) return false;
  const AxisValue& value = spec_.of(one)[a];
  const AxisValue& other_value = spec_.of(other)[b];
  problems_.push_back(
      {value.place.line, value.place.column,
       fmt::format("{} '{}' {} ({} '{}'); add to exclude: {}", spec::name_of(one), value.label, reason,
                   spec::name_of(other), other_value.label,
                   exclude_line(spec::name_of(one), value.label, spec::name_of(other), other_value.label))});
  return false;
}

}  // namespace gauntlet::spec::detail
