#include "core/spec/detail/cell_graph.hpp"

#include <algorithm>

#include "core/base/check.hpp"
#include "core/spec/backbone_fields.hpp"
#include "core/spec/declaration.hpp"
#include "core/spec/detail/composed.hpp"

namespace gauntlet::spec::detail {
std::string_view name_of(Side side) {
  switch (side) {
    case Side::kImage:
      return "image";
    case Side::kText:
      return "text";
    case Side::kBoth:
      return "both";
  }
  return "unknown";
}

std::string_view name_of(Part part) {
  switch (part) {
    case Part::kQuery:
      return "query";
    case Part::kTrain:
      return "train";
    case Part::kRetrieval:
      return "retrieval";
  }
  return "unknown";
}

/// The table of kinds and inputs: prepare → (features) → train_model → (crafted training set → train_defense)
/// → (crafted queries) → query codes, retrieval codes → evaluate.
std::span<const CellJob> CellGraph::plan(const CellPlan& cell) {
  Transfer transferred;
  std::vector<CellJob> of_source;
  if (cell.source != nullptr) {
    const std::optional<Transfer> made = craft_for_source(*cell.source);
    if (!made) return {};
    transferred = *made;
    of_source = std::move(roles_);
  }
  const Trained* from = trained_for(cell);
  if (from == nullptr) return {};
  roles_ = from->roles;
  Common common = cell.validates == nullptr ? from->common : on_validation(cell, from->common);
  for (const CellJob& part : of_source) play(static_cast<JobIndex>(part.job), part.role);
  if (cell.is_ensemble()) return plan_ensemble(cell, common, from->defense);
  if (cell.swaps()) return plan_swap(cell, common, from->defense);
  MaybeJob crafted = transferred.queries;
  if (cell.source == nullptr && cell.is_attacked() && cell.scope.attacks_queries())
    crafted = craft_query(cell, common, from->defense);
  Encoding queries = clean_queries(cell, *cell.defense, from->defense);
  if (crafted) queries = {cell.defense, cell.query_side(), Part::kQuery, crafted, from->defense};
  const JobIndex query = encode(cell, common, queries);
  play(query, "encode_query");
  const std::vector<JobIndex> draws = further_draws(cell, common, crafted, from->defense);
  const JobIndex retrieval = encode_retrieval(cell, common, from->defense, transferred.database);
  play(retrieval, "encode_retrieval");
  Measured measured{query, retrieval, crafted, std::nullopt, draws};
  if (may_refuse(cell)) {
    if (!metrics_of(cell).external.empty()) {
      refuse(cell, Axis::kDefense,
             fmt::format("defense '{}' refuses queries, and metric '{}' is external and knows of codes alone",
                         cell.defense->entry->name, metrics_of(cell).external.front()->name));
      return {};
    }
    if (crafted) {
      Encoding clean = clean_queries(cell, *cell.defense, from->defense);
      measured.clean = encode(cell, common, clean);
      play(*measured.clean, "encode_clean_query");
    }
  }
  evaluate(cell, common, measured);
  if (cell.explanation != nullptr && crafted) explain(cell, common, *crafted, from->defense);
  return roles_;
}

/// Null after a problem.
const CellGraph::Trained* CellGraph::trained_for(const CellPlan& cell) {
  const Trained::From cell_from{cell.dataset, cell.model,         cell.defense,
                                cell.seed,    cell.image_queries, cell.bits};
  // Of the axes, direction and seed alone vary faster than the attack.
  const std::size_t slot = 2 * cell.seed + (cell.image_queries ? 1 : 0);
  Trained& known = trained_[slot % trained_.size()];
  if (known.from == cell_from) return &known;
  known.from = {};
  roles_.clear();
  const MaybeJob data = prepare(cell);
  if (!data) return nullptr;
  play(*data, "prepare");
  const MaybeJob shared = features(cell, *data);
  if (shared) play(*shared, "features");
  const bool is_chosen = cell.model_choice != nullptr;
  known.common = {*data,
                  is_chosen ? choose_model(cell, *data, shared) : train_model(cell, *data, shared),
                  shared,
                  {},
                  {}};
  play(known.common.model, is_chosen ? "select_model" : "train_model");
  const CatalogEntry& defense = *cell.defense->entry;
  const Side side = defense.joint ? Side::kBoth : cell.query_side();
  known.defense = train_defense(cell, known.common, side, {"train_defense", "craft_train", "select_defense"});
  if (defense.trains && !known.defense) return nullptr;
  known.from = cell_from;
  known.roles = roles_;
  return &known;
}

CellGraph::MaybeJob CellGraph::prepare(const CellPlan& cell) {
  const auto [known, is_new] =
      prepared_.emplace(std::pair(cell.dataset->config, cell.dataset->locations), std::nullopt);
  if (!is_new) return known->second;
  const CatalogEntry& entry = *cell.dataset->entry;
  Json config = configs_.value(cell.dataset->config);
  const auto source = content_id_(entry.name, config, configs_.value(cell.dataset->locations));
  if (!source) {
    refuse(cell, Axis::kDataset, fmt::format("dataset '{}': {}", entry.name, source.error().message));
    return std::nullopt;
  }
  config["source"] = *source;
  JobDraft draft{JobKind::kPrepare, &entry, configs_.intern(std::move(config))};
  draft.locations = cell.dataset->locations;
  known->second = graph_.add_job(draft);
  return known->second;
}

/// One per dataset and backbone, whatever model, code length and seed: the published network is the same for
/// all.
CellGraph::MaybeJob CellGraph::features(const CellPlan& cell, JobIndex data) {
  const Json& model = configs_.value(cell.model->config);
  if (!has_frozen_backbone(model)) return std::nullopt;
  const ConfigId config = configs_.composed(made_from(Composed::kFeatures, cell.model->config),
                                            [&] { return backbone_fields(model); });
  JobDraft draft{JobKind::kFeatures, nullptr, config};
  draft.inputs.set(InputRole::kData, data);
  draft.locations = configs_.composed(made_from(Composed::kFeatureLocations, cell.model->locations),
                                      [&] { return backbone_fields(configs_.value(cell.model->locations)); });
  return graph_.add_job(draft);
}

JobIndex CellGraph::train_model(const CellPlan& cell, JobIndex data, MaybeJob features) {
  if (cell.model->entry->external) return train_external_model(cell, data);
  const ConfigId config = configs_.composed(made_from(Composed::kModel, cell.model->config, cell.bits), [&] {
    return Json{{"model", configs_.value(cell.model->config)}, {"bits", cell.bits}};
  });
  JobDraft draft{JobKind::kTrainModel, cell.model->entry, config};
  draft.seed = cell.seed;
  draft.locations = cell.model->locations;
  draft.inputs.set(InputRole::kData, data);
  if (features) draft.inputs.set(InputRole::kFeatures, *features);
  return graph_.add_job(draft);
}

JobIndex CellGraph::encode(const CellPlan& cell, const Common& common, const Encoding& what) {
  if (what.defense->entry->external) {
    const JobIndex purified = purify(cell, common, what);
    return encode(cell, common, {&bare(cell), what.side, what.part, purified});
  }
  if (cell.model->entry->external) return encode_externally(cell, common, what);
  const auto from = made_from(Composed::kEncode, what.defense->config, what.side, what.part,
                              what.crafted.has_value(), what.draw, what.on_queries);
  const std::string_view source = what.crafted ? "crafted" : "clean";
  const ConfigId config = configs_.composed(from, [&] {
    Json encoding = {{"defense", configs_.value(what.defense->config)},
                     {"modality", name_of(what.side)},
                     {"part", name_of(what.part)},
                     {"source", source}};
    if (what.draw > 0) encoding["draw"] = what.draw;
    if (what.on_queries > 0) encoding["on_queries"] = what.on_queries;
    return encoding;
  });
  JobDraft draft{JobKind::kEncode, what.defense->entry, config};
  draft.seed = cell.seed;
  draft.inputs.set(InputRole::kData, common.data);
  draft.inputs.set(InputRole::kModel, common.model);
  if (what.crafted) draft.inputs.set(InputRole::kCrafted, *what.crafted);
  if (what.trained) draft.inputs.set(InputRole::kDefense, *what.trained);
  // Features stand in for pictures that nothing changes: clean ones before the bare model.
  const bool untouched = what.side == Side::kImage && !what.crafted && what.defense->entry->name == "none";
  if (untouched && common.features) draft.inputs.set(InputRole::kFeatures, *common.features);
  draft.locations = what.defense->locations;
  return graph_.add_job(draft);
}

CellGraph::MaybeJob CellGraph::train_defense(const CellPlan& cell, Common& common, Side side,
                                             const Roles& roles) {
  if (cell.defense_choice != nullptr) return choose_defense(cell, common, side, roles);
  const CatalogEntry& defense = *cell.defense->entry;
  if (!defense.trains) return std::nullopt;
  if (common.trained_on) {
    Common whole = on_training_data(common);
    return train_defense(cell, whole, side, roles);
  }
  if (defense.external) return train_externally(cell, common, side, roles.train);
  need_codes(cell, common);
  const ConfigId config =
      configs_.composed(made_from(Composed::kTrainDefense, cell.defense->config, side), [&] {
        return Json{{"defense", configs_.value(cell.defense->config)}, {"modality", name_of(side)}};
      });
  JobDraft draft{JobKind::kTrainDefense, &defense, config};
  draft.seed = cell.seed;
  draft.inputs.set(InputRole::kData, common.data);
  draft.inputs.set(InputRole::kModel, common.model);
  draft.inputs.set(InputRole::kCodesImage, *common.codes_image);
  draft.inputs.set(InputRole::kCodesText, *common.codes_text);
  struct CraftedSet {
    Side side;
    InputRole input;
    std::string_view role;
  };
  std::vector<CraftedSet> sets = {{side, InputRole::kCrafted, roles.craft}};
  if (side == Side::kBoth) {
    sets = {{Side::kImage, InputRole::kCraftedImage, "craft_train_image"},
            {Side::kText, InputRole::kCraftedText, "craft_train_text"}};
  }
  for (const CraftedSet& set : sets) {
    if (defense.crafts_with.empty()) break;
    const MaybeJob crafted = craft_train(cell, common, set.side);
    if (!crafted) return std::nullopt;
    play(*crafted, set.role);
    draft.inputs.set(set.input, *crafted);
  }
  draft.locations = cell.defense->locations;
  const JobIndex trained = graph_.add_job(draft);
  play(trained, roles.train);
  return trained;
}

CellGraph::Encoding CellGraph::clean_queries(const CellPlan& cell, const Chosen& defense, MaybeJob trained) {
  Encoding queries{&defense, cell.query_side(), Part::kQuery, std::nullopt, trained};
  queries.on_queries = cell.scope.on_queries;
  return queries;
}

JobIndex CellGraph::encode_retrieval(const CellPlan& cell, Common& common, MaybeJob trained,
                                     MaybeJob transferred) {
  Encoding retrieval = retrieval_of(cell, common, trained);
  retrieval.crafted = transferred;
  if (!transferred && cell.is_attacked() && cell.scope.attacks_database())
    retrieval.crafted = craft_database(cell, common, retrieval);
  return encode(cell, common, retrieval);
}

/// A defense that only purifies queries leaves the retrieval set to the bare model.
CellGraph::Encoding CellGraph::retrieval_of(const CellPlan& cell, Common& common, MaybeJob trained) {
  const CatalogEntry& defense = *cell.defense->entry;
  if (!defense.replaces_model) return {&bare(cell), cell.retrieval_side(), Part::kRetrieval};
  if (defense.trains && !defense.joint) {
    trained = train_defense(cell, common, cell.retrieval_side(),
                            {"train_defense_retrieval", "craft_train_retrieval", "select_defense_retrieval"});
  }
  return {cell.defense, cell.retrieval_side(), Part::kRetrieval, std::nullopt, trained};
}

bool CellGraph::may_refuse(const CellPlan& cell) {
  const auto [known, is_new] = refuses_.try_emplace(cell.defense->entry, false);
  if (is_new) known->second = refuses(*cell.defense->entry);
  return known->second;
}

CellGraph::CellMetrics CellGraph::metrics_of(const CellPlan& cell) const {
  CellMetrics metrics;
  for (const std::string& metric : *cell.metrics) {
    const auto entry = catalog_.find(EntryKind::kMetric, metric.substr(0, metric.find_first_of("@:/")));
    GAUNTLET_CHECK(entry.has_value());
    if ((*entry)->external) {
      metrics.external.push_back(*entry);
    } else {
      metrics.built_in.push_back(metric);
    }
  }
  return metrics;
}

/// One job for all built-in metrics, one for each external one.
void CellGraph::evaluate(const CellPlan& cell, const Common& common, const Measured& what) {
  const auto [built_in, external] = metrics_of(cell);
  JobDraft draft{JobKind::kEvaluate, nullptr, 0};
  draft.inputs.set(InputRole::kData, common.data);
  draft.inputs.set(InputRole::kQueryCodes, what.query);
  draft.inputs.set(InputRole::kRetrievalCodes, what.retrieval);
  if (what.crafted && cell.attack->entry->targeted) draft.inputs.set(InputRole::kCrafted, *what.crafted);
  if (what.clean) draft.inputs.set(InputRole::kCleanQueryCodes, *what.clean);
  if (!built_in.empty()) {
    draft.config = what.draws.empty() ? evaluate_config(cell, built_in) : drawn_config(cell, built_in);
    draft.ranked = what.draws;
    play(graph_.add_job(draft), "evaluate");
  }
  for (const CatalogEntry* metric : external) measure(cell, draft, *metric);
}

/// Clean retrieval codes of the bare model, both modalities: what attacks and defenses aim at.
void CellGraph::need_codes(const CellPlan& cell, Common& common) {
  if (common.codes_image) return;
  common.codes_image = encode(cell, common, {&bare(cell), Side::kImage, Part::kRetrieval});
  common.codes_text = encode(cell, common, {&bare(cell), Side::kText, Part::kRetrieval});
  play(*common.codes_image, "codes_image");
  play(*common.codes_text, "codes_text");
}

const Chosen& CellGraph::bare(const CellPlan& cell) {
  const std::uint32_t dataset = at(cell.point, Axis::kDataset);
  const auto known = bare_.find(dataset);
  if (known != bare_.end()) return known->second;
  const auto none = catalog_.find(EntryKind::kDefense, "none");
  GAUNTLET_CHECK(none.has_value());  // expand() has looked
  auto chosen = effective_.of_entry(**none, cell.point, Json::object());
  GAUNTLET_CHECK(chosen.has_value());
  return bare_.emplace(dataset, std::move(*chosen)).first->second;
}

void CellGraph::play(JobIndex job, std::string_view role) {
  const auto is_same = [&](const CellJob& other) { return other.job == job; };
  if (std::ranges::none_of(roles_, is_same)) roles_.push_back({job, role});
}

void CellGraph::refuse(const CellPlan& cell, Axis axis, std::string message) {
  const Place place = spec_.of(axis)[at(cell.point, axis)].place;
  problems_.push_back({place.line, place.column, std::move(message)});
}

}  // namespace gauntlet::spec::detail
