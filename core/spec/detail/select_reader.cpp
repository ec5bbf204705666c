// `select:`: options chosen among candidates by a metric on validation items.
#include <algorithm>

#include "core/base/text.hpp"
#include "core/spec/detail/sweep_parser.hpp"

namespace gauntlet::spec::detail {
namespace {

constexpr std::int64_t kDefaultItems = 500;
constexpr std::uint64_t kMaxItems = 10'000'000;
constexpr std::uint64_t kMaxSplitSeed = (std::uint64_t{1} << 63) - 1;
const Names kTriedOwners = {"model", "defense"};

std::string text_of(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

const FieldInfo* find_field(const CatalogEntry& entry, std::string_view name) {
  const auto found = std::ranges::find(entry.fields, name, &FieldInfo::name);
  return found == entry.fields.end() ? nullptr : &*found;
}

/// The candidates with one more option: each of them with each value, the values varying fastest.
std::vector<Variant> crossed(const std::vector<Variant>& candidates, const std::vector<Assignment>& values) {
  std::vector<Variant> all;
  for (const Variant& candidate : candidates) {
    for (const Assignment& value : values) {
      if (all.size() > kMaxCandidates) return all;  // more than may be; the caller says so
      Variant& next = all.emplace_back(candidate);
      next.name += fmt::format("{}{}={}", next.name.empty() ? "" : " ", value.field, text_of(value.value));
      next.set.push_back(value);
    }
  }
  return all;
}

/// Every value of the file, once.
std::vector<Assignment> values_tried(const Selection& selection) {
  std::vector<Assignment> values;
  for (const Variant& candidate : selection.candidates) {
    for (const Assignment& value : candidate.set) {
      if (std::ranges::find(values, value.place, &Assignment::place) == values.end()) values.push_back(value);
    }
  }
  return values;
}

/// The entry must have all of the options, each one that a training is about.
void check_fields(const Selection& selection, const YamlNode& node, const CatalogEntry& entry,
                  Report& report) {
  for (const YamlNode::Member& member : node.members) {
    const std::string field = member.key->text.substr(member.key->text.find('.') + 1);
    if (std::ranges::find(selection.fields, field) == selection.fields.end()) continue;
    const FieldInfo* info = find_field(entry, field);
    if (info == nullptr) {
      report.add(member.key->place, "selection '{}' tries {}, which {} does not have; narrow its match",
                 selection.name, member.key->text, entry.name);
    } else if (info->location || (selection.kind == EntryKind::kModel && field.starts_with("backbone"))) {
      report.add(member.key->place,
                 "{}: '{}' decides what is read or shared before anything is trained, and is not tried",
                 entry.name, field);
    }
  }
}

void check_repetitions(const std::vector<Assignment>& values, const CatalogEntry& entry, Report& report) {
  for (auto value = values.begin(); value != values.end(); ++value) {
    const FieldInfo* info = find_field(entry, value->field);
    if (info == nullptr) continue;
    const auto normal = normalize_field(*info, value->value);
    const auto is_same = [&](const Assignment& other) {
      if (other.field != value->field || !normal) return false;
      const auto other_normal = normalize_field(*info, other.value);
      return other_normal && *other_normal == *normal;
    };
    if (std::any_of(values.begin(), value, is_same))
      report.add(value->place, "{}: '{}' is tried with {} twice", entry.name, value->field,
                 text_of(value->value));
  }
}

}  // namespace

void SweepParser::read_select(const YamlNode& node) {
  if (!expect_list(node, "select", report_)) return;
  for (const YamlNode* item : node.items) {
    if (expect_map(*item, "a selection", report_)) read_selection(*item);
  }
}

void SweepParser::read_selection(const YamlNode& node) {
  refuse_unknown_keys(node, "a selection", kSelectKeys, report_);
  Selection selection;
  selection.place = node.place;
  const YamlNode* name = node.find("name");
  if (name == nullptr) report_.add(node.place, "a selection has no 'name'");
  if (name != nullptr) selection.name = detail::text_of(*name, "name of a selection", report_).value_or("");
  const auto is_taken = [&](const auto& other) {
    return other.name == selection.name && !selection.name.empty();
  };
  if (std::ranges::any_of(spec_.selections, is_taken))
    report_.add(name->place, "two selections are called '{}'", selection.name);
  if (std::ranges::any_of(spec_.ablations, is_taken)) {
    report_.add(name->place, "an ablation and a selection are called '{}'; their variants would be mixed up",
                selection.name);
  }
  if (const YamlNode* match = node.find("match"))
    selection.match = axes_.read_selector(*match, "match of a selection");
  const YamlNode* tried = node.find("try");
  if (tried == nullptr) {
    report_.add(node.place, "selection '{}' has no 'try'", selection.name);
  } else {
    read_tried(*tried, selection);
  }
  if (const YamlNode* by = node.find("by")) {
    read_by(*by, selection);
  } else {
    report_.add(node.place, "selection '{}' has no 'by', the metric that candidates are compared by",
                selection.name);
  }
  read_per(node.find("per"), selection);
  selection.n_items = kDefaultItems;
  selection.split_seed = 1;
  if (const YamlNode* validation = node.find("validation")) read_validation(*validation, selection);
  tried_.push_back(tried);
  spec_.selections.push_back(std::move(selection));
}

/// {defense.alpha: [0.1, 1, 10], defense.beta: [0.1, 1]}
void SweepParser::read_tried(const YamlNode& node, Selection& selection) {
  if (!expect_map(node, "try", report_)) return;
  selection.candidates = {Variant{}};
  for (const YamlNode::Member& member : node.members) {
    const std::string& key = member.key->text;
    const std::size_t dot = key.find('.');
    const std::string owner = key.substr(0, dot);
    if (dot == std::string::npos || std::ranges::find(kTriedOwners, owner) == kTriedOwners.end()) {
      report_.add(member.key->place, "'{}' in try is not of the form kind.option; {}", key,
                  unknown_name_message("kind", owner, kTriedOwners));
      continue;
    }
    const EntryKind kind = owner == "model" ? EntryKind::kModel : EntryKind::kDefense;
    if (!selection.fields.empty() && kind != selection.kind) {
      report_.add(member.key->place, "selection '{}' tries options of {} and of {}; make it two selections",
                  selection.name, name_of(selection.kind), name_of(kind));
      continue;
    }
    selection.kind = kind;
    selection.fields.push_back(key.substr(dot + 1));
    std::vector<Assignment> values;
    for (const YamlNode* value : values_of(*member.value)) {
      const auto read = scalar_value(*value);
      if (!read || read->is_null()) {
        report_.add(value->place, "'{}' in try is {}; allowed: one value, or a list of values", key,
                    seen(*value));
      } else {
        values.push_back({kind, selection.fields.back(), *read, value->place});
      }
    }
    if (member.value->is_sequence() && member.value->items.empty())
      report_.add(member.value->place, "'{}' in try is an empty list", key);
    if (!values.empty()) selection.candidates = crossed(selection.candidates, values);
  }
  const std::size_t n = selection.candidates.size();
  if (n >= 2 && n <= kMaxCandidates) return;
  report_.add(
      node.place, "selection '{}' tries {}; allowed: 2 to {}", selection.name,
      n > kMaxCandidates ? fmt::format("more than {} candidates", kMaxCandidates) : count_of(n, "candidate"),
      kMaxCandidates);
}

void SweepParser::read_by(const YamlNode& node, Selection& selection) {
  const std::string what = fmt::format("by of selection '{}'", selection.name);
  if (!expect_map(node, what, report_)) return;
  refuse_unknown_keys(node, what, kSelectByKeys, report_);
  selection.directions = read_values(Axis::kDirection, node.find("direction"));
  selection.seeds = read_values(Axis::kSeed, node.find("seed"));
  read_measured_attacks(node.find("attack"), selection);
  const YamlNode* metric = node.find("metric");
  if (metric == nullptr) {
    report_.add(node.place, "{} names no 'metric'", what);
    return;
  }
  const std::vector<std::string> names = read_metrics(*metric, catalog_, check_metric_, report_);
  if (names.empty()) return;
  if (names.size() > 1) report_.add(metric->place, "{} names {} metrics; allowed: one", what, names.size());
  selection.metric = names.front();
  const auto entry =
      catalog_.find(EntryKind::kMetric, selection.metric.substr(0, selection.metric.find_first_of("@:/")));
  if ((*entry)->external != nullptr)
    report_.add(metric->place, "{} names '{}', which is external; allowed: built-in metrics", what,
                selection.metric);
  for (const std::uint32_t index : selection.attacks) {
    const auto attack = catalog_.find(EntryKind::kAttack, spec_.of(Axis::kAttack)[index].name);
    if (!(*entry)->targeted || !attack || (*attack)->targeted) continue;
    report_.add(metric->place, "{}: '{}' needs a targeted attack, and '{}' has no target", what,
                selection.metric, (*attack)->name);
  }
}

void SweepParser::read_measured_attacks(const YamlNode* node, Selection& selection) {
  selection.attacks = read_values(Axis::kAttack, node);
  if (node == nullptr) selection.attacks = {value_of_none(Axis::kAttack)};
  for (const std::uint32_t attack : selection.attacks) {
    if (spec_.of(Axis::kAttack)[attack].source.empty()) continue;
    report_.add(node->place, "a selection measures under attacks on what is measured, not under a transfer");
  }
}

std::vector<std::uint32_t> SweepParser::read_values(Axis axis, const YamlNode* node) {
  std::vector<std::uint32_t> values;
  if (node == nullptr) return values;
  if (node->is_sequence() && node->items.empty())
    report_.add(node->place, "{} of a selection is an empty list", name_of(axis));
  for (const YamlNode* item : values_of(*node)) {
    const auto value = axes_.resolve(axis, *item);
    if (value && std::ranges::find(values, *value) == values.end()) values.push_back(*value);
  }
  return values;
}

/// The value of an axis that is called none; added when the file has no such value.
std::uint32_t SweepParser::value_of_none(Axis axis) {
  const auto found = std::ranges::find(spec_.of(axis), "none", &AxisValue::label);
  if (found != spec_.of(axis).end()) return static_cast<std::uint32_t>(found - spec_.of(axis).begin());
  return axes_.add_default(axis, "none");
}

/// An entry's options are its own: its axis is always among them.
void SweepParser::read_per(const YamlNode* node, Selection& selection) {
  const bool is_model = selection.kind == EntryKind::kModel;
  if (is_model) static_cast<void>(value_of_none(Axis::kDefense));  // what models are measured with
  selection.per = {is_model ? Axis::kModel : Axis::kDefense};
  const auto add = [&](Axis axis) {
    if (std::ranges::find(selection.per, axis) == selection.per.end()) selection.per.push_back(axis);
  };
  if (node == nullptr) {
    for (const Axis axis : {Axis::kDataset, Axis::kModel, Axis::kBits}) add(axis);
  } else {
    const Names& allowed = is_model ? kPerModelKeys : kPerDefenseKeys;
    for (const PlacedText& name : texts_of(*node, "per of a selection", report_)) {
      if (std::ranges::find(allowed, name.text) == allowed.end()) {
        report_.add(name.place, "{}", unknown_name_message("axis of per", name.text, allowed));
        continue;
      }
      const Axis axis = *axis_from(name.text);
      const bool is_fixed = (axis == Axis::kDirection && !selection.directions.empty()) ||
                            (axis == Axis::kSeed && !selection.seeds.empty());
      if (is_fixed)
        report_.add(name.place, "per names {}, and by says which is measured; one of them decides",
                    name.text);
      add(axis);
    }
  }
  std::ranges::sort(selection.per);
}

void SweepParser::read_validation(const YamlNode& node, Selection& selection) {
  if (!expect_map(node, "validation", report_)) return;
  refuse_unknown_keys(node, "validation", kValidationKeys, report_);
  if (const YamlNode* items = node.find("items")) {
    const auto n = integer_of(*items, "items of a validation split", 1, kMaxItems, report_);
    selection.n_items = static_cast<std::int64_t>(n.value_or(1));
  }
  if (const YamlNode* seed = node.find("seed"))
    selection.split_seed =
        integer_of(*seed, "seed of a validation split", 0, kMaxSplitSeed, report_).value_or(1);
}

/// What must hold of the values once the entries they can meet are known: see EffectiveConfigs for what they
/// become there.
void SweepParser::check_selections() {
  for (std::size_t index = 0; index < spec_.selections.size(); ++index) {
    if (tried_[index] != nullptr) check_tried(spec_.selections[index], *tried_[index]);
  }
}

void SweepParser::check_tried(const Selection& selection, const YamlNode& node) {
  if (selection.fields.empty()) return;
  const std::vector<Assignment> values = values_tried(selection);
  const Axis axis = selection.kind == EntryKind::kModel ? Axis::kModel : Axis::kDefense;
  const std::vector<const CatalogEntry*> entries = candidates_for(axis, selection.match);
  check_assignments(values, {{selection.kind, entries}}, report_);
  for (const CatalogEntry* entry : entries) {
    const auto has = [&](const std::string& field) { return find_field(*entry, field) != nullptr; };
    if (std::ranges::none_of(selection.fields, has)) continue;
    if (entry->external != nullptr) {
      report_.add(node.place, "{}: a selection tries options of built-in entries, and this one is external",
                  entry->name);
    }
    check_fields(selection, node, *entry, report_);
    check_repetitions(values, *entry, report_);
  }
}

}  // namespace gauntlet::spec::detail
