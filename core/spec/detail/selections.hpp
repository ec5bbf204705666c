// Which cells a sweep's selections are for, and what is measured on validation items to choose.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "core/spec/detail/cell_graph.hpp"

namespace gauntlet::spec::detail {

/// One choice: the candidates of a selection, each measured at every one of `points`.
struct SelectionGroup {
  const Selection* rule = nullptr;
  const Variant* ablated = nullptr;  ///< of an ablation; null for the base rows
  std::vector<Point> points;         ///< with the attacks to measure under
  Choice choice;
};

/// Finds the selections of cells. First every cell is noted; then the groups, those of models first, are
/// measured by whoever plans jobs, which fills in Choice::scores. Not thread-safe.
class Selections {
 public:
  Selections(const SweepSpec& spec, EffectiveConfigs& effective);

  [[nodiscard]] bool empty() const { return spec_.selections.empty(); }
  /// A cell of the sweep.
  void note(const Point& point, const Variant* variant);
  /// Call once, after every cell: what candidates of a defense are measured on may ask for models that no
  /// cell of the sweep has.
  void note_measured();
  /// In the order in which cells need them.
  [[nodiscard]] std::deque<SelectionGroup>& groups(EntryKind kind) {
    return kind == EntryKind::kModel ? model_groups_ : defense_groups_;
  }
  /// Puts the choice of model options, and that of defense options where `with_defense`, into a cell's plan.
  void apply(CellPlan& plan, const Variant* variant, bool with_defense);
  /// Problems: selections that are for no cell, and two that are for the same one.
  [[nodiscard]] std::vector<Problem> take_problems();

 private:
  using GroupKey = std::tuple<const Selection*, const Variant*, Point>;

  const Selection* find(EntryKind kind, const Point& point, const Variant* variant);
  [[nodiscard]] bool is_for(std::size_t selection, const Point& point, const Variant* variant) const;
  [[nodiscard]] GroupKey key_of(const Selection& rule, const Point& point, const Variant* variant) const;
  SelectionGroup& group_for(const Selection& rule, const Point& point, const Variant* variant);
  void add_points(const Selection& rule, const Point& cell, std::vector<Point>& points) const;
  const Variant* combined(const Variant* ablated, const Variant& candidate);

  const SweepSpec& spec_;
  EffectiveConfigs& effective_;
  std::vector<PointMatcher> matches_;
  std::vector<bool> used_;
  std::uint32_t no_defense_ = 0;
  std::deque<SelectionGroup> model_groups_, defense_groups_;
  std::map<GroupKey, SelectionGroup*> by_key_;
  std::deque<Variant> combined_;
  std::vector<Problem> problems_;
};

/// "alpha=10 beta=1000", and for a row of an ablation which one.
[[nodiscard]] std::string variant_name(const SelectionGroup& group, const Variant& candidate,
                                       std::string_view ablation);

}  // namespace gauntlet::spec::detail
