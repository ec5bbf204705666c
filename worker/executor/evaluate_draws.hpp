// Evaluation of a cell whose defense draws randomly: every number is the mean over several draws of the same
// queries. docs/robustness.md, "Random defenses".
#pragma once

#include <span>
#include <string>

#include "worker/executor/evaluation_inputs.hpp"

namespace gauntlet::worker {

/// The codes of one draw are the input query_codes, those of the others worst_of_000, worst_of_001, …, which
/// are `config.draws.reported` with it. Beside the metrics, of each with values per query and a draw more
/// than one:
/// `<metric>:resubmit@<n>`, the mean of every query's worst over the first n = `config.draws.resubmitted`
/// draws. Errors: kInvalid (config), kCorrupt (codes of other queries or lengths), those of
/// metrics::evaluate.
[[nodiscard]] Result<AttemptResult> run_evaluate_draws(const AttemptContext& attempt,
                                                       const EvaluationInputs& read,
                                                       std::span<const std::string> metrics,
                                                       ProgressSink& progress);

}  // namespace gauntlet::worker
