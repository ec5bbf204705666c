// The jobs of a cell whose attack is `swap`: training inputs encoded as queries are, and one evaluation that
// chooses among their codes for every query.
#include "core/spec/detail/cell_graph.hpp"

namespace gauntlet::spec::detail {

std::span<const CellJob> CellGraph::plan_swap(const CellPlan& cell, Common& common, MaybeJob trained) {
  const CellMetrics metrics = metrics_of(cell);
  for (const auto& [axis, entry] :
       {std::pair(Axis::kModel, cell.model->entry), std::pair(Axis::kDefense, cell.defense->entry)}) {
    if (!entry->external) continue;
    refuse(cell, axis,
           fmt::format(
               "swap sends training inputs through the pipeline, and '{}' is external; add a `when` to it "
               "that leaves this one out",
               entry->name));
    return {};
  }
  if (!metrics.external.empty()) {
    refuse(cell, Axis::kAttack,
           fmt::format("swap is measured by built-in metrics, and '{}' is external",
                       metrics.external.front()->name));
    return {};
  }
  const JobIndex query = encode(cell, common, clean_queries(cell, *cell.defense, trained));
  play(query, "encode_query");
  const JobIndex inputs =
      encode(cell, common, {cell.defense, cell.query_side(), Part::kTrain, std::nullopt, trained});
  play(inputs, "encode_swap");
  const JobIndex retrieval = encode_retrieval(cell, common, trained);
  play(retrieval, "encode_retrieval");
  Json config = configs_.value(evaluate_config(cell, metrics.built_in));
  config["swap"] = configs_.value(cell.attack->config);
  config["swap"]["version"] = cell.attack->entry->version;
  JobDraft draft{JobKind::kEvaluate, nullptr, configs_.intern(std::move(config))};
  draft.seed = cell.seed;
  draft.inputs.set(InputRole::kData, common.data);
  draft.inputs.set(InputRole::kQueryCodes, query);
  draft.inputs.set(InputRole::kRetrievalCodes, retrieval);
  draft.ranked = std::span(&inputs, 1);
  play(graph_.add_job(draft), "evaluate");
  return roles_;
}

}  // namespace gauntlet::spec::detail
