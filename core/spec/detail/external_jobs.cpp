// The jobs of external entries: the steps of CellGraph as `command` jobs. Their configs hold what the
// built-in kind's would, beside `does`, what the command is asked for, and `descriptor`, the hash of its
// files.
#include <algorithm>

#include "core/base/check.hpp"
#include "core/spec/detail/cell_graph.hpp"

namespace gauntlet::spec::detail {
namespace {

bool asks_for(const std::vector<std::string>& groups, std::string_view group) {
  return std::ranges::find(groups, group) != groups.end();
}

/// What a leaderboard tells of inputs that were made elsewhere, and the budget they were checked against.
Json about_given(const ExternalEntry& external) {
  Json budget = Json::object();
  for (const ExternalBudget& each : external.budget) budget[each.norm] = each.value;
  return {{"summary", external.about.summary}, {"reference", external.about.reference}, {"budget", budget}};
}

}  // namespace

JobDraft CellGraph::command(const CellPlan& cell, const Common& common, Command what) {
  const CatalogEntry& entry = *what.chosen->entry;
  const ExternalEntry& external = *entry.external;
  what.config["does"] = name_of(what.task);
  what.config["descriptor"] = external.hash;
  what.config[std::string(spec::name_of(external.kind))] = configs_.value(what.chosen->config);
  JobDraft draft{JobKind::kCommand, &entry, configs_.intern(std::move(what.config))};
  draft.seed = cell.seed;
  draft.locations = configs_.intern(Json{{"descriptor", external.descriptor.string()}});
  draft.inputs.set(InputRole::kData, common.data);
  return draft;
}

void CellGraph::add_groups(const CellPlan& cell, Common& common, const std::vector<std::string>& groups,
                           JobDraft& draft) {
  if (asks_for(groups, "model")) draft.inputs.set(InputRole::kModel, common.model);
  if (!asks_for(groups, "codes")) return;
  need_codes(cell, common);
  draft.inputs.set(InputRole::kCodesImage, *common.codes_image);
  draft.inputs.set(InputRole::kCodesText, *common.codes_text);
}

JobIndex CellGraph::train_external_model(const CellPlan& cell, JobIndex data) {
  return graph_.add_job(
      command(cell, {data, 0, {}, {}, {}}, {cell.model, ExternalTask::kTrain, {{"bits", cell.bits}}}));
}

JobIndex CellGraph::encode_externally(const CellPlan& cell, const Common& common, const Encoding& what) {
  Json config = {{"bits", cell.bits},
                 {"modality", name_of(what.side)},
                 {"part", name_of(what.part)},
                 {"source", what.crafted ? "crafted" : "clean"}};
  if (what.on_queries > 0) config["on_queries"] = what.on_queries;
  JobDraft draft = command(cell, common, {cell.model, ExternalTask::kEncode, std::move(config)});
  draft.inputs.set(InputRole::kModel, common.model);
  if (what.crafted) draft.inputs.set(InputRole::kCrafted, *what.crafted);
  return graph_.add_job(draft);
}

JobIndex CellGraph::craft_externally(const CellPlan& cell, Common& common, const Crafting& what) {
  Json config = {{"modality", name_of(what.side)},
                 {"part", name_of(what.part)},
                 {"limit", what.limit},
                 {"protocol", what.protocol},
                 {"bits", cell.bits}};
  if (const ExternalEntry& external = *what.attack->entry->external; !external.given.empty())
    config["given"] = about_given(external);
  if (what.part == Part::kRetrieval) {
    config["database_fraction"] = what.scope.database_fraction();
  } else if (what.scope.on_queries > 0) {
    config["on_queries"] = what.scope.on_queries;
  }
  JobDraft draft = command(cell, common, {what.attack, ExternalTask::kCraft, std::move(config)});
  add_groups(cell, common, what.attack->entry->external->inputs, draft);
  return graph_.add_job(draft);
}

JobIndex CellGraph::train_externally(const CellPlan& cell, Common& common, Side side, std::string_view role) {
  Json config = {{"modality", name_of(side)}, {"bits", cell.bits}};
  JobDraft draft = command(cell, common, {cell.defense, ExternalTask::kTrain, std::move(config)});
  add_groups(cell, common, cell.defense->entry->external->train_inputs, draft);
  const JobIndex trained = graph_.add_job(draft);
  play(trained, role);
  return trained;
}

JobIndex CellGraph::purify(const CellPlan& cell, Common common, const Encoding& what) {
  Json config = {{"modality", name_of(what.side)},
                 {"part", name_of(what.part)},
                 {"source", what.crafted ? "crafted" : "clean"},
                 {"bits", cell.bits}};
  if (what.draw > 0) config["draw"] = what.draw;
  if (what.on_queries > 0) config["on_queries"] = what.on_queries;
  JobDraft draft = command(cell, common, {what.defense, ExternalTask::kPurify, std::move(config)});
  add_groups(cell, common, what.defense->entry->external->inputs, draft);
  if (what.crafted) draft.inputs.set(InputRole::kCrafted, *what.crafted);
  if (what.trained) draft.inputs.set(InputRole::kDefense, *what.trained);
  const JobIndex purified = graph_.add_job(draft);
  play(purified, "purify");
  return purified;
}

/// `evaluate`: its inputs are those of the metric's job too. Fields of a metric have their defaults.
void CellGraph::measure(const CellPlan& cell, const JobDraft& evaluate, const CatalogEntry& metric) {
  auto chosen = effective_.of_entry(metric, cell.point, Json::object());
  GAUNTLET_CHECK(chosen.has_value());  // the descriptor's reader has checked the defaults
  Json config = {{"direction", cell.image_queries ? "i2t" : "t2i"}};
  JobDraft draft = command(cell, {}, {&*chosen, ExternalTask::kMeasure, std::move(config)});
  draft.inputs = evaluate.inputs;
  play(graph_.add_job(draft), "measure");
}

}  // namespace gauntlet::spec::detail
