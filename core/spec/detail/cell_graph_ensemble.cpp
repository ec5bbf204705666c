// The jobs of a cell whose attack is an ensemble: one craft and one encode per member, shared by key with the
// same attacks elsewhere, and one evaluation of the worst.
#include "core/base/check.hpp"
#include "core/spec/detail/cell_graph.hpp"

namespace gauntlet::spec::detail {
namespace {

constexpr std::string_view kSetField = "set";  ///< the one option of an ensemble that is no member's

}  // namespace

/// Clean queries are the member every set has; `none` on clean queries is there for the kept share.
std::span<const CellJob> CellGraph::plan_ensemble(const CellPlan& cell, Common& common, MaybeJob trained) {
  const Ensemble* ensemble = ensemble_of(cell);
  if (ensemble == nullptr) return {};
  if (const CellMetrics metrics = metrics_of(cell); !metrics.external.empty()) {
    refuse(cell, Axis::kAttack,
           fmt::format("the worst of several attacks is taken of built-in metrics, and '{}' is external",
                       metrics.external.front()->name));
    return {};
  }
  const JobIndex clean = encode(cell, common, clean_queries(cell, *cell.defense, trained));
  play(clean, "encode_query");
  std::vector<JobIndex> ranked;
  MaybeJob targeted;  // any of them: they share one list of targets
  for (const EnsembleMember& member : *ensemble) {
    Crafting what{&member.attack, cell.query_side(), Part::kQuery};
    what.scope = cell.scope;
    what.protocol = member.attack.protocol;
    if (what.protocol != "static") {
      what.defense = cell.defense;
      what.trained = trained;
    }
    const JobIndex crafted = craft(cell, common, what);
    play(crafted, "craft_member");
    if (member.attack.entry->targeted && !targeted) targeted = crafted;
    ranked.push_back(encode(cell, common, {cell.defense, cell.query_side(), Part::kQuery, crafted, trained}));
    play(ranked.back(), "encode_member");
  }
  const JobIndex retrieval = encode_retrieval(cell, common, trained);
  play(retrieval, "encode_retrieval");
  JobDraft draft{JobKind::kEvaluate, nullptr, worst_config(cell, set_of(cell), *ensemble)};
  draft.inputs.set(InputRole::kData, common.data);
  draft.inputs.set(InputRole::kQueryCodes, clean);
  draft.inputs.set(InputRole::kRetrievalCodes, retrieval);
  if (cell.defense->entry->name != "none") {
    const JobIndex base_query = encode(cell, common, clean_queries(cell, bare(cell), std::nullopt));
    play(base_query, "encode_base_query");
    draft.inputs.set(InputRole::kBaseQueryCodes, base_query);
    const JobIndex base_retrieval =
        encode(cell, common, {&bare(cell), cell.retrieval_side(), Part::kRetrieval});
    play(base_retrieval, "encode_base_retrieval");
    if (base_retrieval != retrieval) draft.inputs.set(InputRole::kBaseRetrievalCodes, base_retrieval);
  }
  if (targeted && cell.attack->entry->targeted) draft.inputs.set(InputRole::kCrafted, *targeted);
  draft.ranked = ranked;
  play(graph_.add_job(draft), "evaluate");
  return roles_;
}

const AttackSet& CellGraph::set_of(const CellPlan& cell) const {
  const std::string name = configs_.value(cell.attack->config).at(kSetField).get<std::string>();
  const auto set = find_attack_set(catalog_.attack_sets(), cell.attack->entry->name, name);
  GAUNTLET_CHECK(set.has_value());  // the field's choices are the sets
  return **set;
}

/// Null after a problem.
const CellGraph::Ensemble* CellGraph::ensemble_of(const CellPlan& cell) {
  const bool is_adaptive = cell.attack->protocol == "adaptive";
  const auto [slot, is_new] = ensembles_.try_emplace(
      {cell.attack->entry->name,
       {cell.attack->config, at(cell.point, Axis::kDataset), is_adaptive, cell.image_queries}});
  if (is_new) slot->second = choose_ensemble(cell, set_of(cell));
  return slot->second ? &*slot->second : nullptr;
}

/// Under protocol static every member as made on the undefended model; under adaptive each through the
/// defense too, as far as it can. A member that cannot work on the asking modality is left out.
std::optional<CellGraph::Ensemble> CellGraph::choose_ensemble(const CellPlan& cell, const AttackSet& set) {
  const bool is_adaptive = cell.attack->protocol == "adaptive";
  Ensemble adaptive, fixed;
  for (const SetMember& member : set.members) {
    auto chosen = member_of(cell, member);
    if (!chosen) {
      refuse(cell, Axis::kAttack, fmt::format("attack set {}: {}", set.text(), chosen.error().message));
      return std::nullopt;
    }
    const CatalogEntry& entry = *chosen->entry;
    if (!(cell.image_queries ? entry.image : entry.text)) continue;
    chosen->protocol = "static";
    if (!member.adaptive_only)
      fixed.push_back({is_adaptive && !member.control ? "static/" + member.name : member.name, *chosen});
    if (!is_adaptive || member.control || !entry.adaptive) continue;
    chosen->protocol = "adaptive";
    adaptive.push_back({member.name, *chosen});
  }
  adaptive.insert(adaptive.end(), fixed.begin(), fixed.end());
  return adaptive;
}

/// The member's attack as a sweep that names it with these options would have it; the ensemble's own options
/// go to every member that has such a field.
Result<Chosen> CellGraph::member_of(const CellPlan& cell, const SetMember& member) {
  GAUNTLET_TRY(const CatalogEntry* entry, catalog_.find(EntryKind::kAttack, member.attack));
  GAUNTLET_TRY(const Json known, complete_config(entry->fields, member.options, entry->name));
  Json values = member.options;
  for (const auto& [name, value] : configs_.value(cell.attack->config).items()) {
    if (name != kSetField && known.contains(name)) values[name] = value;
  }
  return effective_.of_entry(*entry, cell.point, values);
}

ConfigId CellGraph::worst_config(const CellPlan& cell, const AttackSet& set, const Ensemble& ensemble) {
  Json config = configs_.value(evaluate_config(cell, metrics_of(cell).built_in));
  Json names = Json::array();
  for (const EnsembleMember& member : ensemble) names.push_back(member.name);
  config["worst"] = {{"set", set.name}, {"version", set.version}, {"members", std::move(names)}};
  return configs_.intern(std::move(config));
}

}  // namespace gauntlet::spec::detail
