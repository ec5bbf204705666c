// Axis values: reads them as names or mappings and keeps every value of the file, by axis, under its label.
#pragma once

#include <optional>
#include <vector>

#include "core/spec/detail/reading.hpp"

namespace gauntlet::spec::detail {

/// A condition's text that must be known once every value of the file is.
struct PendingName {
  Axis axis = Axis::kDataset;
  PlacedText name;
};

/// A number of queries; 0 after a problem.
[[nodiscard]] std::uint32_t read_on_queries(const YamlNode& node, std::string_view what, Report& report);

class AxisReader {
 public:
  AxisReader(const Catalog& catalog, SweepSpec& spec, Report& report)
      : catalog_(catalog), spec_(spec), report_(report) {}

  /// Reads a value of `axes:`; a label that is taken is a problem.
  std::optional<std::uint32_t> add_axis_value(Axis axis, const YamlNode& node);
  /// Reads a value named elsewhere (include, base): a label of the file means that value, anything else is a
  /// value of its own.
  std::optional<std::uint32_t> resolve(Axis axis, const YamlNode& node);
  /// Adds the value an axis has when the file does not name it.
  std::uint32_t add_default(Axis axis, std::string_view name);

  /// Reads {attack: pgd, bits: [16, 32]}.
  [[nodiscard]] Selector read_selector(const YamlNode& node, std::string_view what);
  /// Reports the names in conditions that neither the file nor the catalog knows. Call once, after everything
  /// is read.
  void check_pending_names();
  /// Looks up what the sources of attacks name, which may be values of axes that are read later. Call when
  /// the axes are read, and again at the end.
  void resolve_sources();

  [[nodiscard]] bool matches(Axis axis, std::uint32_t value, const std::vector<std::string>& texts) const;

 private:
  std::optional<AxisValue> read_value(Axis axis, const YamlNode& node);
  std::optional<AxisValue> read_written(Axis axis, const YamlNode& node);
  [[nodiscard]] std::string own_label(Axis axis, const AxisValue& value) const;
  void read_source(const YamlNode& node, const CatalogEntry& entry, AxisValue& value);
  // scope_reader.cpp
  bool read_scope(const YamlNode::Member& member, const CatalogEntry& entry, AttackScope& scope);
  void check_scope(const YamlNode& node, const CatalogEntry& entry, const AxisValue& value);
  [[nodiscard]] static std::string scope_words(const AttackScope& scope);

  bool read_name(Axis axis, const YamlNode& node, AxisValue& value);
  void read_member(Axis axis, const YamlNode::Member& member, const CatalogEntry* entry, AxisValue& value);
  void read_option(const YamlNode::Member& member, const CatalogEntry& entry, const Names& own_keys,
                   AxisValue& value);
  std::optional<std::uint32_t> find_label(Axis axis, std::string_view label) const;
  std::vector<AxisValue>& pool(Axis axis) { return spec_.values[static_cast<std::size_t>(axis)]; }
  std::uint32_t append(Axis axis, AxisValue value);

  const Catalog& catalog_;
  SweepSpec& spec_;
  Report& report_;
  std::array<std::unordered_map<std::string, std::uint32_t>, kAxisCount> by_label_;
  std::vector<PendingName> pending_;
  std::vector<std::pair<Axis, const YamlNode*>> sources_;  ///< not looked up yet
};

}  // namespace gauntlet::spec::detail
