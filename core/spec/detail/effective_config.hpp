// The effective config of an entry in a cell: entry default, the dataset's default for the entry, settings in
// order, the axis value's options, the ablation variant; the later wins.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/spec/detail/interning.hpp"
#include "core/spec/sweep_spec.hpp"

namespace gauntlet::spec::detail {

/// One value per axis, as indices into SweepSpec::values.
using Point = std::array<std::uint32_t, kAxisCount>;
[[nodiscard]] inline std::uint32_t at(const Point& point, Axis axis) {
  return point[static_cast<std::size_t>(axis)];
}

/// A Selector over indices.
class PointMatcher {
 public:
  PointMatcher(const Selector& selector, const SweepSpec& spec);
  [[nodiscard]] bool operator()(const Point& point) const;

 private:
  struct Allowed {
    std::size_t axis;
    std::vector<bool> values;
  };
  std::vector<Allowed> all_of_;
};

/// An entry with its effective config in a cell.
struct Chosen {
  const CatalogEntry* entry = nullptr;
  ConfigId config = 0;     ///< without the fields that say where things are
  ConfigId locations = 0;  ///< those fields
  std::string protocol;    ///< of an attack: "static", "retrained", "adaptive"; "none" for attack none
};

class EffectiveConfigs {
 public:
  EffectiveConfigs(const SweepSpec& spec, const Catalog& catalog, ConfigTable& configs);

  /// The reference lives as long as this object. `variant` is null outside ablations.
  [[nodiscard]] const Chosen& of(EntryKind kind, const Point& point, const Variant* variant);

  /// Whether the entry of that name has all of these options.
  [[nodiscard]] bool has_fields(EntryKind kind, std::string_view entry,
                                const std::vector<std::string>& fields) const;

  /// The same without the options a selection tries: what is left before one of its candidates is chosen.
  /// The reference lives as long as this object.
  [[nodiscard]] const Chosen& without_tried(const Chosen& chosen, const Selection& selection);

  /// A config of `entry` outside the axes: its defaults, those for the cell's dataset, then `values`, which
  /// may be refused.
  [[nodiscard]] Result<Chosen> of_entry(const CatalogEntry& entry, const Point& point, const Json& values);

 private:
  struct Rule {
    PointMatcher matches;
    std::vector<const Assignment*> set;
  };
  [[nodiscard]] Json defaults_for(const CatalogEntry& entry, const Point& point) const;
  [[nodiscard]] Chosen choose(EntryKind kind, Axis axis, const Point& point, const Variant* variant,
                              const std::vector<std::uint32_t>& rules);
  [[nodiscard]] Chosen split(const CatalogEntry& entry, const Json& values);
  [[nodiscard]] std::uint32_t number_of(const Variant* variant);
  [[nodiscard]] const CatalogEntry& entry_of(EntryKind kind, Axis axis, const Point& point) const;

  const SweepSpec& spec_;
  const Catalog& catalog_;
  ConfigTable& configs_;
  std::map<EntryKind, std::vector<Rule>> rules_;  ///< the settings that touch a kind, in order
  std::map<const Variant*, std::uint32_t> variant_ids_;
  std::map<std::pair<const Chosen*, const Selection*>, Chosen> without_tried_;
  std::unordered_map<std::vector<std::uint32_t>, Chosen, NumbersHash> memo_;
  std::vector<std::uint32_t> key_;  ///< scratch of of()
};

}  // namespace gauntlet::spec::detail
