#include "core/spec/expand.hpp"

#include <algorithm>
#include <thread>
#include <unordered_set>

#include "core/base/check.hpp"
#include "core/spec/detail/cell_graph.hpp"
#include "core/spec/detail/compatibility.hpp"
#include "core/spec/detail/effective_config.hpp"
#include "core/spec/detail/packed_graph.hpp"
#include "core/spec/detail/selections.hpp"

namespace gauntlet::spec {
namespace detail {
namespace {

using MetricSets = std::vector<std::vector<std::string>>;

constexpr std::size_t kFirstOfSelections = 2;  ///< metric sets before those of selections

/// Set 0 holds the metrics that need no target, set 1 all of them, then comes what each selection measures.
MetricSets metric_sets(const SweepSpec& spec, const Catalog& catalog) {
  MetricSets sets(2);
  for (const std::string& metric : spec.metrics) {
    const auto entry = catalog.find(EntryKind::kMetric, metric.substr(0, metric.find_first_of("@:/")));
    const bool needs_target = entry && (*entry)->targeted;
    if (!needs_target) sets[0].push_back(metric);
    sets[1].push_back(metric);
  }
  for (const Selection& selection : spec.selections) sets.push_back({selection.metric});
  return sets;
}

/// Walks the points of the sweep and plans a cell for each.
class Expander {
 public:
  Expander(const SweepSpec& spec, const Catalog& catalog, const ContentIdFn& content_id)
      : spec_(spec),
        graph_(std::make_shared<PackedGraph>(spec)),
        effective_(spec, catalog, graph_->configs()),
        compatibility_(spec),
        selections_(spec, effective_),
        cell_graph_(spec, catalog, content_id, effective_, *graph_),
        metric_sets_(metric_sets(spec, catalog)) {
    for (const auto& exclude : spec.exclude) excluded_.emplace_back(exclude, spec);
    for (const auto& explanation : spec.explain)
      explained_.push_back({PointMatcher(explanation.match, spec)});
    for (std::size_t axis = 0; axis < kAxisCount; ++axis) {
      for (const AxisValue& value : spec.values[axis]) {
        when_[axis].emplace_back(value.when, spec);
        limits_[axis] = limits_[axis] || !value.when.any_of.empty();
      }
    }
  }

  tl::expected<Expansion, std::vector<Problem>> expand();

 private:
  template <class Visit>
  static void for_each_point(const PointSet& points, Visit visit);
  [[nodiscard]] bool takes_part(const Point& point) const;
  bool add_cell(const Point& point, const Ablation* ablation, const Variant* variant);
  [[nodiscard]] bool is_first(const Point& point, const Variant* variant);
  [[nodiscard]] CellPlan plan_of(const Point& point, const Variant* variant);
  [[nodiscard]] Point source_of(const Point& point) const;
  [[nodiscard]] const Explanation* explanation_of(const CellPlan& plan);
  void report_unused_explanations();
  void add_ablation(const Ablation& ablation);
  // Selections.
  void note_cells();
  void measure(SelectionGroup& group);
  bool measure_at(SelectionGroup& group, const Variant* candidate, const Point& point);
  [[nodiscard]] bool can_measure(const SelectionGroup& group, const CellPlan& plan);
  [[nodiscard]] std::string_view ablation_of(const Variant* variant) const;
  [[nodiscard]] MetricSets told_metrics() const;

  struct Seen {
    Point point;
    const Variant* variant;
    bool operator==(const Seen&) const = default;
  };
  struct SeenHash {
    std::size_t operator()(const Seen& seen) const noexcept {
      return NumbersHash{}(seen.point) ^ std::hash<const void*>{}(seen.variant);
    }
  };

  const SweepSpec& spec_;
  std::shared_ptr<PackedGraph> graph_;
  EffectiveConfigs effective_;
  Compatibility compatibility_;
  Selections selections_;
  CellGraph cell_graph_;
  MetricSets metric_sets_;
  struct Explained {
    PointMatcher matches;
    bool is_used = false;
  };
  std::vector<PointMatcher> excluded_;
  std::vector<Explained> explained_;
  std::array<std::vector<PointMatcher>, kAxisCount> when_;
  std::array<bool, kAxisCount> limits_{};  ///< axes with a `when`
  std::unordered_set<Seen, SeenHash> seen_;
  std::vector<Problem> problems_;
};

tl::expected<Expansion, std::vector<Problem>> Expander::expand() {
  if (!selections_.empty()) {
    note_cells();
    for (const EntryKind kind : {EntryKind::kModel, EntryKind::kDefense}) {
      for (SelectionGroup& group : selections_.groups(kind)) measure(group);
    }
  }
  for_each_point(spec_.product, [&](const Point& point) {
    if (takes_part(point)) add_cell(point, nullptr, nullptr);
  });
  for (const PointSet& points : spec_.include) {
    for_each_point(points, [&](const Point& point) { add_cell(point, nullptr, nullptr); });
  }
  for (const Ablation& ablation : spec_.ablations) add_ablation(ablation);
  for (auto& found :
       {compatibility_.take_problems(), cell_graph_.take_problems(), selections_.take_problems()}) {
    problems_.insert(problems_.end(), found.begin(), found.end());
  }
  if (problems_.empty()) report_unused_explanations();
  if (problems_.empty() && graph_->n_cells() == 0) {
    problems_.push_back(
        {spec_.product.place.line, spec_.product.place.column,
         "the sweep has no cells: `when` and `exclude` remove all of them, or no metric applies"});
  }
  if (!problems_.empty()) {
    std::ranges::stable_sort(problems_, {},
                             [](const Problem& each) { return std::pair(each.line, each.column); });
    return tl::make_unexpected(std::move(problems_));
  }
  graph_->set_metric_sets(told_metrics());
  graph_->finish(static_cast<int>(std::thread::hardware_concurrency()));
  return Expansion(graph_);
}

template <class Visit>
void Expander::for_each_point(const PointSet& points, Visit visit) {
  if (points.size() == 0) return;
  std::vector<std::size_t> row(points.dimensions.size(), 0);
  Point point{};
  while (true) {
    for (std::size_t at = 0; at < row.size(); ++at) {
      const Dimension& dimension = points.dimensions[at];
      for (std::size_t column = 0; column < dimension.axes.size(); ++column) {
        point[static_cast<std::size_t>(dimension.axes[column])] = dimension.rows[row[at]][column];
      }
    }
    visit(point);
    std::size_t last = row.size();
    while (last > 0 && ++row[last - 1] == points.dimensions[last - 1].rows.size()) row[--last] = 0;
    if (last == 0) return;
  }
}

bool Expander::takes_part(const Point& point) const {
  for (std::size_t axis = 0; axis < kAxisCount; ++axis) {
    if (limits_[axis] && !when_[axis][point[axis]](point)) return false;
  }
  return std::ranges::none_of(excluded_, [&](const PointMatcher& matches) { return matches(point); });
}

void Expander::add_ablation(const Ablation& ablation) {
  std::size_t n_rows = 0;
  const auto visit = [&](const Variant* variant) {
    for_each_point(ablation.base, [&](const Point& point) {
      if (!takes_part(point)) return;
      ++n_rows;
      add_cell(point, &ablation, variant);
    });
  };
  visit(nullptr);
  for (const Variant& variant : ablation.variants) visit(&variant);
  if (n_rows > 0) return;
  problems_.push_back(
      {ablation.place.line, ablation.place.column,
       fmt::format("ablation '{}' has no base row left by `when` and `exclude`", ablation.name)});
}

/// Every cell, before any is planned: what a choice is measured on are all that it is for.
void Expander::note_cells() {
  const auto note = [&](const Point& point, const Variant* variant) {
    selections_.note(point, variant);
    if (const Point made_for = source_of(point); made_for != point) selections_.note(made_for, variant);
  };
  for_each_point(spec_.product, [&](const Point& point) {
    if (takes_part(point)) note(point, nullptr);
  });
  for (const PointSet& points : spec_.include) {
    for_each_point(points, [&](const Point& point) { note(point, nullptr); });
  }
  for (const Ablation& ablation : spec_.ablations) {
    for_each_point(ablation.base, [&](const Point& point) {
      if (!takes_part(point)) return;
      note(point, nullptr);
      for (const Variant& variant : ablation.variants) note(point, &variant);
    });
  }
  selections_.note_measured();
}

/// A cell of its own for each candidate wherever it is measured.
void Expander::measure(SelectionGroup& group) {
  const Selection& rule = *group.rule;
  if (group.points.size() * rule.candidates.size() > kMaxScores) {
    problems_.push_back({rule.place.line, rule.place.column,
                         fmt::format("selection '{}' measures {} candidates at {} points for one choice; "
                                     "allowed: {} measurements; name more axes in per",
                                     rule.name, rule.candidates.size(), group.points.size(), kMaxScores)});
    return;
  }
  for (std::size_t candidate = 0; candidate < rule.candidates.size(); ++candidate) {
    for (const Point& point : group.points) {
      if (!measure_at(group, group.choice.candidates[candidate], point)) return;
    }
  }
}

bool Expander::measure_at(SelectionGroup& group, const Variant* candidate, const Point& point) {
  CellPlan plan = plan_of(point, candidate);
  const auto index = static_cast<std::size_t>(group.rule - spec_.selections.data());
  plan.metric_set = static_cast<std::uint32_t>(kFirstOfSelections + index);
  plan.metrics = &metric_sets_[plan.metric_set];
  plan.validates = group.rule;
  plan.scope.on_queries = 0;  // the selection says itself how many items it looks at
  if (group.rule->kind == EntryKind::kDefense) selections_.apply(plan, group.ablated, false);
  if (!can_measure(group, plan)) return false;
  CellDraft draft;
  draft.point = point;
  draft.variant = graph_->name_variant(variant_name(group, *candidate, ablation_of(group.ablated)));
  draft.metric_set = plan.metric_set;
  draft.protocol = plan.attack->protocol;
  draft.jobs = cell_graph_.plan(plan);
  if (draft.jobs.empty()) return false;
  const auto evaluate = std::ranges::find(draft.jobs, "evaluate", &CellJob::role);
  GAUNTLET_CHECK(evaluate != draft.jobs.end());
  group.choice.scores.push_back(static_cast<JobIndex>(evaluate->job));
  graph_->add_cell(draft);
  return true;
}

/// Said of the selection: there is no cell to exclude.
bool Expander::can_measure(const SelectionGroup& group, const CellPlan& plan) {
  Compatibility compatibility(spec_);
  if (compatibility.check(plan)) return true;
  const Place place = group.rule->place;
  for (const Problem& problem : compatibility.take_problems()) {
    const std::string message = problem.message.substr(0, problem.message.find("; add to exclude"));
    problems_.push_back(
        {place.line, place.column,
         fmt::format("selection '{}' cannot measure its candidates: {}; name another attack or "
                     "direction in by",
                     group.rule->name, message)});
  }
  return false;
}

std::string_view Expander::ablation_of(const Variant* variant) const {
  for (const Ablation& ablation : spec_.ablations) {
    for (const Variant& each : ablation.variants) {
      if (&each == variant) return ablation.name;
    }
  }
  return "";
}

/// The metrics as rows have them: those on validation items by another name.
MetricSets Expander::told_metrics() const {
  MetricSets told = metric_sets_;
  for (std::size_t set = kFirstOfSelections; set < told.size(); ++set) {
    for (std::string& metric : told[set]) metric.insert(0, "validation_");
  }
  return told;
}

/// Whether this point has not been planned before; only include and ablations can name one twice.
bool Expander::is_first(const Point& point, const Variant* variant) {
  if (spec_.include.empty() && spec_.ablations.empty()) return true;
  return seen_.insert({point, variant}).second;
}

bool Expander::add_cell(const Point& point, const Ablation* ablation, const Variant* variant) {
  if (!is_first(point, variant)) return false;
  CellPlan plan = plan_of(point, variant);
  selections_.apply(plan, variant, true);
  CellPlan source;
  if (const Point made_for = source_of(point); made_for != point) {
    source = plan_of(made_for, variant);
    selections_.apply(source, variant, true);
    plan.source = &source;
  }
  if (plan.metrics->empty() || !compatibility_.check(plan)) return false;
  plan.explanation = explanation_of(plan);
  CellDraft draft;
  draft.point = point;
  if (variant != nullptr)
    draft.variant = graph_->name_variant(fmt::format("{}/{}", ablation->name, variant->name));
  draft.metric_set = plan.metric_set;
  draft.protocol = plan.attack->protocol;
  draft.jobs = cell_graph_.plan(plan);
  graph_->add_cell(draft);
  return true;
}

/// The first that matches; null where there is nothing to show.
const Explanation* Expander::explanation_of(const CellPlan& plan) {
  if (explained_.empty() || !plan.can_be_explained()) return nullptr;
  for (std::size_t index = 0; index < explained_.size(); ++index) {
    if (!explained_[index].matches(plan.point)) continue;
    explained_[index].is_used = true;
    return &spec_.explain[index];
  }
  return nullptr;
}

void Expander::report_unused_explanations() {
  for (std::size_t index = 0; index < explained_.size(); ++index) {
    if (explained_[index].is_used) continue;
    const Place place = spec_.explain[index].place;
    problems_.push_back(
        {place.line, place.column,
         "this explain entry has nothing to show: no cell matches it that has an attack of its own "
         "(not an ensemble) and neither an external model nor an external defense, or earlier "
         "entries have all of them"});
  }
}

/// The point whose target the attack's inputs are made for.
Point Expander::source_of(const Point& point) const {
  Point source = point;
  for (const auto& [axis, label] : spec_.of(Axis::kAttack)[at(point, Axis::kAttack)].source) {
    const std::vector<AxisValue>& values = spec_.of(axis);
    const auto found = std::ranges::find(values, label, &AxisValue::label);
    GAUNTLET_CHECK(found != values.end());  // the reader looked it up
    source[static_cast<std::size_t>(axis)] = static_cast<std::uint32_t>(found - values.begin());
  }
  return source;
}

CellPlan Expander::plan_of(const Point& point, const Variant* variant) {
  CellPlan plan;
  plan.point = point;
  plan.dataset = &effective_.of(EntryKind::kDataset, point, variant);
  plan.model = &effective_.of(EntryKind::kModel, point, variant);
  plan.attack = &effective_.of(EntryKind::kAttack, point, variant);
  plan.defense = &effective_.of(EntryKind::kDefense, point, variant);
  plan.bits = static_cast<std::uint32_t>(spec_.of(Axis::kBits)[at(point, Axis::kBits)].number);
  plan.seed = spec_.of(Axis::kSeed)[at(point, Axis::kSeed)].number;
  plan.image_queries = spec_.of(Axis::kDirection)[at(point, Axis::kDirection)].name == "i2t";
  plan.scope = spec_.of(Axis::kAttack)[at(point, Axis::kAttack)].scope;
  plan.metric_set = plan.attack->entry->targeted ? 1 : 0;
  plan.metrics = &metric_sets_[plan.metric_set];
  return plan;
}

Expansion expand_noop(const SweepSpec& spec) {
  auto graph = std::make_shared<PackedGraph>(spec);
  graph->set_noops(*spec.noop);
  graph->finish(static_cast<int>(std::thread::hardware_concurrency()));
  return Expansion(graph);
}

/// The catalog the sweep was read with may not be this one.
std::vector<Problem> missing_entries(const SweepSpec& spec, const Catalog& catalog) {
  std::vector<Problem> problems;
  for (const Axis axis : {Axis::kDataset, Axis::kModel, Axis::kAttack, Axis::kDefense}) {
    for (const AxisValue& value : spec.of(axis)) {
      const auto entry = catalog.find(*entry_kind_of(axis), value.name);
      if (!entry) problems.push_back({value.place.line, value.place.column, entry.error().message});
    }
  }
  for (const std::string& metric : spec.metrics) {
    const auto entry = catalog.find(EntryKind::kMetric, metric.substr(0, metric.find_first_of("@:/")));
    if (!entry) problems.push_back({0, 0, entry.error().message});
  }
  const auto none = catalog.find(EntryKind::kDefense, "none");
  if (!none)
    problems.push_back({0, 0, fmt::format("the undefended model needs a defense: {}", none.error().message)});
  return problems;
}

}  // namespace
}  // namespace detail

tl::expected<Expansion, std::vector<Problem>> expand(const SweepSpec& spec, const Catalog& catalog,
                                                     const ContentIdFn& content_id) {
  if (spec.noop) return detail::expand_noop(spec);
  if (auto problems = detail::missing_entries(spec, catalog); !problems.empty()) {
    return tl::make_unexpected(std::move(problems));
  }
  return detail::Expander(spec, catalog, content_id).expand();
}

}  // namespace gauntlet::spec
