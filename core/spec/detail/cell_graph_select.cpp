// The jobs of selections: the validation split that candidates are measured on, and the job that stands in
// for the training of the one that is chosen.
#include <utility>

#include "core/base/check.hpp"
#include "core/spec/detail/cell_graph.hpp"

namespace gauntlet::spec::detail {

/// The same inputs with a validation split for data. What is trained is trained on the data itself.
CellGraph::Common CellGraph::on_validation(const CellPlan& cell, const Common& common) {
  const Selection& rule = *cell.validates;
  JobDraft draft{JobKind::kPrepare, nullptr,
                 configs_.intern(Json{{"validation", {{"items", rule.n_items}, {"seed", rule.split_seed}}}})};
  draft.inputs.set(InputRole::kData, common.data);
  Common validation{graph_.add_job(draft), common.model, common.features, {}, {}};
  validation.trained_on = common.data;
  play(validation.data, "validation");
  return validation;
}

CellGraph::Common CellGraph::on_training_data(const Common& common) {
  return {*common.trained_on, common.model, common.features, {}, {}};
}

JobIndex CellGraph::choose_model(const CellPlan& cell, JobIndex data, MaybeJob features) {
  const Choice& choice = *cell.model_choice;
  std::vector<JobIndex> trained;
  CellPlan candidate = cell;
  candidate.model_choice = nullptr;
  for (const Variant* variant : choice.candidates) {
    candidate.model = &effective_.of(EntryKind::kModel, cell.point, variant);
    trained.push_back(train_model(candidate, data, features));
  }
  return select(cell, choice, name_of(Side::kBoth), std::move(trained));
}

/// The candidates' own jobs are no jobs of the cell: their numbers are not the chosen one's.
CellGraph::MaybeJob CellGraph::choose_defense(const CellPlan& cell, Common& common, Side side,
                                              const Roles& roles) {
  const Choice& choice = *cell.defense_choice;
  const std::vector<CellJob> own = roles_;
  std::vector<JobIndex> trained;
  CellPlan candidate = cell;
  candidate.defense_choice = nullptr;
  for (const Variant* variant : choice.candidates) {
    candidate.defense = &effective_.of(EntryKind::kDefense, cell.point, variant);
    const MaybeJob job = train_defense(candidate, common, side, roles);
    if (job) trained.push_back(*job);
    if (!job && candidate.defense->entry->trains) return std::nullopt;
  }
  roles_ = own;
  const JobIndex chosen = select(cell, choice, name_of(side), std::move(trained));
  play(chosen, roles.select);
  return chosen;
}

/// Its key is made of the rule, the candidates and what they are measured on.
JobIndex CellGraph::select(const CellPlan& cell, const Choice& choice, std::string_view modality,
                           std::vector<JobIndex> inputs) {
  const Selection& rule = *choice.rule;
  const bool is_model = rule.kind == EntryKind::kModel;
  Json candidates = Json::array();
  for (const Variant* variant : choice.candidates) {
    const Json& config = configs_.value(effective_.of(rule.kind, cell.point, variant).config);
    Json values = Json::object();
    for (const std::string& field : rule.fields) values[field] = config.at(field);
    candidates.push_back({{"values", std::move(values)}, {"config", config}});
  }
  const std::size_t n_scores = choice.scores.size() / choice.candidates.size();
  const Json config = {{"select",
                        {{"kind", spec::name_of(rule.kind)},
                         {"modality", modality},
                         {"metric", rule.metric},
                         {"part", "validation"},
                         {"validation", {{"items", rule.n_items}, {"seed", rule.split_seed}}},
                         {"candidates", std::move(candidates)},
                         {"n_scores", n_scores}}}};
  JobDraft draft{JobKind::kEvaluate, is_model ? cell.model->entry : cell.defense->entry,
                 configs_.intern(config)};
  draft.n_candidates = static_cast<std::uint32_t>(inputs.size());
  inputs.insert(inputs.end(), choice.scores.begin(), choice.scores.end());
  draft.ranked = inputs;
  return graph_.add_job(draft);
}

}  // namespace gauntlet::spec::detail
