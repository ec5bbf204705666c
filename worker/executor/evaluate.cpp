#include <iostream>

#include "core/metrics/evaluate.hpp"
#include "worker/executor/evaluate_draws.hpp"
#include "worker/executor/evaluate_refusals.hpp"
#include "worker/executor/evaluate_swap.hpp"
#include "worker/executor/evaluate_together.hpp"
#include "worker/executor/evaluate_worst.hpp"
#include "worker/executor/evaluation_inputs.hpp"
#include "worker/executor/light_runner.hpp"
#include "worker/executor/select.hpp"
#include "worker/executor/shared_queries.hpp"

namespace gauntlet::worker {
namespace {

Result<std::vector<std::string>> metric_names(const Json& config) {
  const auto found = config.find("metrics");
  std::vector<std::string> names;
  if (found != config.end() && found->is_array()) {
    for (const Json& name : *found) {
      if (name.is_string()) names.push_back(name.get<std::string>());
    }
  }
  if (names.empty() || names.size() != found->size()) {
    return fail(ErrorCode::kInvalid, "the evaluate job's 'metrics' is not a list of names");
  }
  return names;
}

Result<AttemptResult> measure(const AttemptContext& attempt, const EvaluationInputs& read,
                              const std::vector<std::string>& names, ProgressSink& progress) {
  if (attempt.job.config.contains("worst")) return run_evaluate_worst(attempt, read, names, progress);
  if (attempt.job.config.contains("draws")) return run_evaluate_draws(attempt, read, names, progress);
  if (attempt.job.config.contains("swap")) return run_evaluate_swap(attempt, read, names, progress);

  progress.update({.phase = "metrics"});
  if (!read.query.refusal_scores.empty()) return run_evaluate_refusals(attempt, read, names);
  const metrics::EvaluationInput input{read.query.codes, read.retrieval.codes, read.query_labels,
                                       read.retrieval_labels, read.targets.get()};
  GAUNTLET_TRY(const auto together, evaluate_together(attempt, input, names, 0));
  if (!together) return AttemptResult{};
  const metrics::Evaluation& evaluation = *together;
  std::cout << fmt::format(
      "{} queries ({} without a relevant item), {} retrieval items, {} bits, chance MAP {:.4f}\n",
      evaluation.n_queries, evaluation.n_without_relevant, evaluation.n_retrieval, evaluation.bits,
      evaluation.chance_map);
  return AttemptResult{.rows = metrics::rows_of(evaluation), .curves = metrics::curves_of(evaluation)};
}

}  // namespace

Result<AttemptResult> run_evaluate(const AttemptContext& attempt, ProgressSink& progress) {
  if (attempt.rank > 0 && !shares_queries(attempt.job)) return AttemptResult{};
  if (attempt.job.config.contains("select")) return run_select(attempt);
  GAUNTLET_TRY(const std::vector<std::string> names, metric_names(attempt.job.config));
  GAUNTLET_TRY(const EvaluationInputs read, read_evaluation_inputs(attempt));
  Result<AttemptResult> result = measure(attempt, read, names, progress);
  const bool is_validation = attempt.job.config.value("part", "query") == "validation";
  if (!result || attempt.rank > 0 || !is_validation) return result;
  return publish_validation(attempt, read.set, std::move(*result));
}

}  // namespace gauntlet::worker
