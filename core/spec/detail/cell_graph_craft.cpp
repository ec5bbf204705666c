// The jobs that make adversarial inputs: queries, database items, the training sets of defenses.
#include "core/base/check.hpp"
#include "core/spec/detail/cell_graph.hpp"

namespace gauntlet::spec::detail {

JobIndex CellGraph::train_attack(const CellPlan& cell, const Common& common, const Crafting& what) {
  JobDraft draft{JobKind::kTrainAttack, what.attack->entry, train_attack_config(what)};
  draft.seed = cell.seed;
  draft.inputs.set(InputRole::kData, common.data);
  draft.inputs.set(InputRole::kModel, common.model);
  draft.inputs.set(InputRole::kCodesImage, *common.codes_image);
  draft.inputs.set(InputRole::kCodesText, *common.codes_text);
  if (what.protocol == "retrained" && what.trained) draft.inputs.set(InputRole::kDefense, *what.trained);
  draft.locations = what.attack->locations;
  return graph_.add_job(draft);
}

JobIndex CellGraph::craft(const CellPlan& cell, Common& common, const Crafting& what) {
  if (what.attack->entry->external) return craft_externally(cell, common, what);
  need_codes(cell, common);
  JobDraft draft{JobKind::kCraft, what.attack->entry, craft_config(what)};
  draft.seed = cell.seed;
  draft.inputs.set(InputRole::kData, common.data);
  draft.inputs.set(InputRole::kModel, common.model);
  draft.inputs.set(InputRole::kCodesImage, *common.codes_image);
  draft.inputs.set(InputRole::kCodesText, *common.codes_text);
  if (what.attack->entry->trains) {
    const JobIndex learned = train_attack(cell, common, what);
    play(learned, "train_attack");
    draft.inputs.set(InputRole::kAttack, learned);
  }
  if (what.trained) draft.inputs.set(InputRole::kDefense, *what.trained);
  draft.locations = what.attack->locations;
  return graph_.add_job(draft);
}

/// Inputs for another target than the one that is measured: as they would be made there, through its defense
/// if it has one, database items only where that encodes the database. roles_ is left with the jobs this
/// took.
std::optional<CellGraph::Transfer> CellGraph::craft_for_source(const CellPlan& source) {
  graph_.set_subject(&source.point);
  const Trained* from = trained_for(source);
  std::optional<Transfer> made;
  if (from != nullptr) {
    roles_ = from->roles;
    Common common = from->common;
    made.emplace();
    if (source.scope.attacks_database()) {
      CellPlan through = source;
      Chosen attack = *source.attack;
      if (source.defense->entry->name != "none") attack.protocol = "adaptive";
      through.attack = &attack;
      made->database = craft_database(through, common, retrieval_of(source, common, from->defense));
    }
    if (!source.scope.attacks_queries()) {
      graph_.set_subject(nullptr);
      return made;
    }
    Crafting what{source.attack, source.query_side(), Part::kQuery};
    what.scope = source.scope;
    if (source.defense->entry->name != "none") {
      what.protocol = "adaptive";
      what.defense = source.defense;
      what.trained = from->defense;
    }
    made->queries = craft(source, common, what);
    play(*made->queries, "craft");
  }
  graph_.set_subject(nullptr);
  return made;
}

JobIndex CellGraph::craft_query(const CellPlan& cell, Common& common, MaybeJob trained) {
  Crafting what{cell.attack, cell.query_side(), Part::kQuery};
  what.scope = cell.scope;
  what.protocol = cell.attack->protocol;
  if (what.protocol != "static") {
    what.defense = cell.defense;
    what.trained = trained;
  }
  const JobIndex crafted = craft(cell, common, what);
  play(crafted, "craft");
  return crafted;
}

/// Items of the database, as whatever encodes it meets them: a defense that leaves the target model as it was
/// is no part of that.
JobIndex CellGraph::craft_database(const CellPlan& cell, Common& common, const Encoding& clean) {
  Crafting what{cell.attack, cell.retrieval_side(), Part::kRetrieval};
  what.scope = cell.scope;
  if (cell.attack->protocol != "static" && cell.defense->entry->replaces_model) {
    what.protocol = cell.attack->protocol;
    what.defense = cell.defense;
    what.trained = clean.trained;
  }
  const JobIndex crafted = craft(cell, common, what);
  play(crafted, "craft_database");
  return crafted;
}

/// The adversarial training set of the cell's defense.
CellGraph::MaybeJob CellGraph::craft_train(const CellPlan& cell, Common& common, Side side) {
  const Chosen* attack = crafter(cell);
  if (attack == nullptr) return std::nullopt;
  Crafting what{attack, side, Part::kTrain};
  const Json& config = configs_.value(cell.defense->config);
  const auto limit = config.find("n_train");
  if (limit != config.end() && limit->is_number_integer()) what.limit = limit->get<std::int64_t>();
  return craft(cell, common, what);
}

/// The attack that makes the defense's training set, configured by the defense's craft_ fields; null after a
/// problem.
const Chosen* CellGraph::crafter(const CellPlan& cell) {
  const CatalogEntry& defense = *cell.defense->entry;
  const auto key = std::tuple(&defense, cell.defense->config, at(cell.point, Axis::kDataset));
  const auto [slot, is_new] = crafters_.emplace(key, std::nullopt);
  if (is_new) {
    const auto attack = catalog_.find(EntryKind::kAttack, defense.crafts_with);
    GAUNTLET_CHECK(attack.has_value());  // the catalog's reader has looked
    Json values = Json::object();
    for (const auto& [name, value] : configs_.value(cell.defense->config).items()) {
      if (name.starts_with("craft_")) values[name.substr(6)] = value;
    }
    auto chosen = effective_.of_entry(**attack, cell.point, values);
    if (chosen) {
      slot->second = std::move(*chosen);
    } else {
      refuse(cell, Axis::kDefense,
             fmt::format("defense '{}' trains on inputs crafted by {}, but {} (set by its field craft_…)",
                         spec_.of(Axis::kDefense)[at(cell.point, Axis::kDefense)].label, defense.crafts_with,
                         chosen.error().message));
    }
  }
  return slot->second ? &*slot->second : nullptr;
}

}  // namespace gauntlet::spec::detail
