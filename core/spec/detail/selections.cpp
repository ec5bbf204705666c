#include "core/spec/detail/selections.hpp"

#include <algorithm>

#include "core/base/check.hpp"

namespace gauntlet::spec::detail {
namespace {

Axis axis_of(EntryKind kind) { return kind == EntryKind::kModel ? Axis::kModel : Axis::kDefense; }

void set(Point& point, Axis axis, std::uint32_t value) { point[static_cast<std::size_t>(axis)] = value; }

bool sets_any(const std::vector<Assignment>& assignments, const Selection& rule) {
  return std::ranges::any_of(assignments, [&](const Assignment& assignment) {
    return assignment.kind == rule.kind &&
           std::ranges::find(rule.fields, assignment.field) != rule.fields.end();
  });
}

}  // namespace

Selections::Selections(const SweepSpec& spec, EffectiveConfigs& effective)
    : spec_(spec), effective_(effective), used_(spec.selections.size(), false) {
  for (const Selection& selection : spec.selections) matches_.emplace_back(selection.match, spec);
  const auto& defenses = spec.of(Axis::kDefense);
  const auto none = std::ranges::find(defenses, "none", &AxisValue::label);
  if (none != defenses.end()) no_defense_ = static_cast<std::uint32_t>(none - defenses.begin());
}

/// An entry must have the options; a value that the axis or the ablation gives one of them stays.
bool Selections::is_for(std::size_t selection, const Point& point, const Variant* variant) const {
  const Selection& rule = spec_.selections[selection];
  if (!matches_[selection](point)) return false;
  const AxisValue& value = spec_.of(axis_of(rule.kind))[at(point, axis_of(rule.kind))];
  const auto is_fixed = [&](const std::string& field) { return value.options.contains(field); };
  if (std::ranges::any_of(rule.fields, is_fixed)) return false;
  if (variant != nullptr && sets_any(variant->set, rule)) return false;
  return effective_.has_fields(rule.kind, value.name, rule.fields);
}

const Selection* Selections::find(EntryKind kind, const Point& point, const Variant* variant) {
  const Selection* found = nullptr;
  for (std::size_t index = 0; index < spec_.selections.size(); ++index) {
    const Selection& rule = spec_.selections[index];
    if (rule.kind != kind || !is_for(index, point, variant)) continue;
    used_[index] = true;
    if (found == nullptr) {
      found = &rule;
      continue;
    }
    const Problem both{
        rule.place.line, rule.place.column,
        fmt::format("selections '{}' and '{}' are both for cells of {} '{}'; narrow their match", found->name,
                    rule.name, name_of(kind), spec_.of(axis_of(kind))[at(point, axis_of(kind))].label)};
    if (std::ranges::find(problems_, both) == problems_.end()) problems_.push_back(both);
  }
  return found;
}

/// The axes that one choice is for; all others are 0.
Selections::GroupKey Selections::key_of(const Selection& rule, const Point& point,
                                        const Variant* variant) const {
  Point key{};
  for (const Axis axis : rule.per) set(key, axis, at(point, axis));
  return {&rule, variant, key};
}

SelectionGroup& Selections::group_for(const Selection& rule, const Point& point, const Variant* variant) {
  SelectionGroup*& group = by_key_[key_of(rule, point, variant)];
  if (group == nullptr) {
    group = &groups(rule.kind).emplace_back();
    group->rule = &rule;
    group->ablated = variant;
    group->choice.rule = &rule;
    for (const Variant& candidate : rule.candidates)
      group->choice.candidates.push_back(combined(variant, candidate));
  }
  return *group;
}

/// Where the candidates of a cell's choice are measured.
void Selections::add_points(const Selection& rule, const Point& cell, std::vector<Point>& points) const {
  const auto or_own = [&](const std::vector<std::uint32_t>& values, Axis axis) {
    return values.empty() ? std::vector{at(cell, axis)} : values;
  };
  for (const std::uint32_t direction : or_own(rule.directions, Axis::kDirection)) {
    for (const std::uint32_t seed : or_own(rule.seeds, Axis::kSeed)) {
      for (const std::uint32_t attack : rule.attacks) {
        Point point = cell;
        set(point, Axis::kDirection, direction);
        set(point, Axis::kSeed, seed);
        set(point, Axis::kAttack, attack);
        if (rule.kind == EntryKind::kModel) set(point, Axis::kDefense, no_defense_);
        if (std::ranges::find(points, point) == points.end()) points.push_back(point);
      }
    }
  }
}

void Selections::note(const Point& point, const Variant* variant) {
  for (const EntryKind kind : {EntryKind::kModel, EntryKind::kDefense}) {
    if (const Selection* rule = find(kind, point, variant))
      add_points(*rule, point, group_for(*rule, point, variant).points);
  }
}

void Selections::note_measured() {
  for (const SelectionGroup& group : defense_groups_) {
    for (const Point& point : group.points) {
      if (const Selection* rule = find(EntryKind::kModel, point, group.ablated))
        add_points(*rule, point, group_for(*rule, point, group.ablated).points);
    }
  }
}

void Selections::apply(CellPlan& plan, const Variant* variant, bool with_defense) {
  if (const Selection* rule = find(EntryKind::kModel, plan.point, variant)) {
    plan.model_choice = &group_for(*rule, plan.point, variant).choice;
    plan.model = &effective_.without_tried(*plan.model, *rule);
  }
  if (!with_defense) return;
  if (const Selection* rule = find(EntryKind::kDefense, plan.point, variant)) {
    plan.defense_choice = &group_for(*rule, plan.point, variant).choice;
    plan.defense = &effective_.without_tried(*plan.defense, *rule);
  }
}

/// The candidate over a variant of an ablation.
const Variant* Selections::combined(const Variant* ablated, const Variant& candidate) {
  if (ablated == nullptr) return &candidate;
  Variant& both = combined_.emplace_back(candidate);
  both.set.insert(both.set.begin(), ablated->set.begin(), ablated->set.end());
  return &both;
}

std::vector<Problem> Selections::take_problems() {
  for (std::size_t index = 0; index < used_.size(); ++index) {
    if (used_[index]) continue;
    const Selection& rule = spec_.selections[index];
    problems_.push_back({rule.place.line, rule.place.column,
                         fmt::format("selection '{}' is for no cell of the sweep", rule.name)});
  }
  return std::move(problems_);
}

std::string variant_name(const SelectionGroup& group, const Variant& candidate, std::string_view ablation) {
  const std::string of =
      group.ablated == nullptr ? std::string() : fmt::format(" of {}/{}", ablation, group.ablated->name);
  return fmt::format("{}/{}{}", group.rule->name, candidate.name, of);
}

}  // namespace gauntlet::spec::detail
