#include "core/spec/detail/effective_config.hpp"

#include <algorithm>

#include "core/base/check.hpp"

namespace gauntlet::spec::detail {
namespace {

constexpr std::array kEntryAxes = {Axis::kDataset, Axis::kModel, Axis::kAttack, Axis::kDefense};

Axis axis_of(EntryKind kind) {
  for (const Axis axis : kEntryAxes) {
    if (entry_kind_of(axis) == kind) return axis;
  }
  GAUNTLET_CHECK(!"a metric is not on an axis");
  return Axis::kDataset;
}

const FieldInfo* find_field(const CatalogEntry& entry, std::string_view name) {
  const auto found = std::ranges::find(entry.fields, name, &FieldInfo::name);
  return found == entry.fields.end() ? nullptr : &*found;
}

/// Sets the field if the entry has it. The reader has checked the value against every entry it can meet.
void set_field(const CatalogEntry& entry, const std::string& name, const Json& value, Json& config) {
  const FieldInfo* field = find_field(entry, name);
  if (field == nullptr) return;
  auto normal = normalize_field(*field, value);
  GAUNTLET_CHECK(normal.has_value());
  config[name] = std::move(*normal);
}

}  // namespace

PointMatcher::PointMatcher(const Selector& selector, const SweepSpec& spec) {
  for (const auto& [axis, texts] : selector.any_of) {
    Allowed allowed{static_cast<std::size_t>(axis), {}};
    for (const AxisValue& value : spec.of(axis)) {
      const auto is_it = [&](const std::string& text) { return text == value.label || text == value.name; };
      allowed.values.push_back(std::ranges::any_of(texts, is_it));
    }
    all_of_.push_back(std::move(allowed));
  }
}

bool PointMatcher::operator()(const Point& point) const {
  return std::ranges::all_of(all_of_,
                             [&](const Allowed& allowed) { return allowed.values[point[allowed.axis]]; });
}

EffectiveConfigs::EffectiveConfigs(const SweepSpec& spec, const Catalog& catalog, ConfigTable& configs)
    : spec_(spec), catalog_(catalog), configs_(configs) {
  for (const Setting& setting : spec.settings) {
    std::map<EntryKind, std::vector<const Assignment*>> by_kind;
    for (const Assignment& assignment : setting.set) by_kind[assignment.kind].push_back(&assignment);
    for (auto& [kind, set] : by_kind)
      rules_[kind].push_back({PointMatcher(setting.match, spec), std::move(set)});
  }
}

/// 0 without a variant.
std::uint32_t EffectiveConfigs::number_of(const Variant* variant) {
  if (variant == nullptr) return 0;
  return variant_ids_.try_emplace(variant, static_cast<std::uint32_t>(variant_ids_.size() + 1)).first->second;
}

const CatalogEntry& EffectiveConfigs::entry_of(EntryKind kind, Axis axis, const Point& point) const {
  const auto entry = catalog_.find(kind, spec_.of(axis)[at(point, axis)].name);
  GAUNTLET_CHECK(entry.has_value());
  return **entry;
}

const Chosen& EffectiveConfigs::of(EntryKind kind, const Point& point, const Variant* variant) {
  const Axis axis = axis_of(kind);
  key_ = {static_cast<std::uint32_t>(kind), at(point, axis), at(point, Axis::kDataset), number_of(variant)};
  const std::size_t n_head = key_.size();
  const std::vector<Rule>& rules = rules_[kind];
  for (std::uint32_t rule = 0; rule < rules.size(); ++rule) {
    if (rules[rule].matches(point)) key_.push_back(rule);
  }
  const auto known = memo_.find(key_);
  if (known != memo_.end()) return known->second;
  const std::vector<std::uint32_t> applied(key_.begin() + static_cast<std::ptrdiff_t>(n_head), key_.end());
  Chosen chosen = choose(kind, axis, point, variant, applied);
  return memo_.emplace(key_, std::move(chosen)).first->second;
}

Json EffectiveConfigs::defaults_for(const CatalogEntry& entry, const Point& point) const {
  Json config = Json::object();
  for (const FieldInfo& field : entry.fields) config[field.name] = field.default_value;
  const auto own = entry.dataset_defaults.find(spec_.of(Axis::kDataset)[at(point, Axis::kDataset)].name);
  if (own == entry.dataset_defaults.end()) return config;
  for (const auto& [name, value] : own->items()) set_field(entry, name, value, config);
  return config;
}

Chosen EffectiveConfigs::choose(EntryKind kind, Axis axis, const Point& point, const Variant* variant,
                                const std::vector<std::uint32_t>& rules) {
  const CatalogEntry& entry = entry_of(kind, axis, point);
  const AxisValue& value = spec_.of(axis)[at(point, axis)];
  Json config = defaults_for(entry, point);
  std::string protocol = "static";
  const auto assign = [&](const Assignment& assignment) {
    if (assignment.kind != kind) return;
    if (kind == EntryKind::kAttack && assignment.field == "protocol") {
      protocol = assignment.value.get<std::string>();
    } else {
      set_field(entry, assignment.field, assignment.value, config);
    }
  };
  for (const std::uint32_t rule : rules) {
    for (const Assignment* assignment : rules_[kind][rule].set) assign(*assignment);
  }
  for (const auto& [name, option] : value.options.items()) config[name] = option;
  if (!value.protocol.empty()) protocol = value.protocol;
  if (variant != nullptr) std::ranges::for_each(variant->set, assign);
  Chosen chosen = split(entry, config);
  if (kind == EntryKind::kAttack) chosen.protocol = entry.name == "none" ? "none" : protocol;
  return chosen;
}

Result<Chosen> EffectiveConfigs::of_entry(const CatalogEntry& entry, const Point& point, const Json& values) {
  Json config = defaults_for(entry, point);
  for (const auto& [name, value] : values.items()) {
    const FieldInfo* field = find_field(entry, name);
    GAUNTLET_CHECK(field != nullptr);  // the catalog's reader checked the names
    GAUNTLET_TRY(config[name], normalize_field(*field, value));
  }
  return split(entry, config);
}

bool EffectiveConfigs::has_fields(EntryKind kind, std::string_view entry,
                                  const std::vector<std::string>& fields) const {
  const auto found = catalog_.find(kind, entry);
  return found && std::ranges::all_of(fields, [&](const std::string& field) {
           return find_field(**found, field) != nullptr;
         });
}

const Chosen& EffectiveConfigs::without_tried(const Chosen& chosen, const Selection& selection) {
  const auto known = without_tried_.find({&chosen, &selection});
  if (known != without_tried_.end()) return known->second;
  Chosen rest = chosen;
  Json config = configs_.value(chosen.config);
  for (const std::string& field : selection.fields) config.erase(field);
  rest.config = configs_.intern(std::move(config));
  return without_tried_.emplace(std::pair(&chosen, &selection), std::move(rest)).first->second;
}

Chosen EffectiveConfigs::split(const CatalogEntry& entry, const Json& values) {
  Json identity = Json::object();
  Json locations = Json::object();
  for (const FieldInfo& field : entry.fields)
    (field.location ? locations : identity)[field.name] = values[field.name];
  return {&entry, configs_.intern(std::move(identity)), configs_.intern(std::move(locations)), ""};
}

}  // namespace gauntlet::spec::detail
