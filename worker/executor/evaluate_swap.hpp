// Evaluation of a cell whose attack is `swap`: the codes of training inputs, and for every query the one that
// retrieves least of it.
#pragma once

#include <span>
#include <string>

#include "worker/executor/evaluation_inputs.hpp"

namespace gauntlet::worker {

/// The input worst_of_000 holds the codes of training inputs; `config.swap.inputs` of them are tried, drawn
/// from the job's seed. Every metric is of the codes that `map` (full ranking, expected ties) chooses.
/// Errors: kInvalid (config, no inputs to choose from, other code lengths), those of metrics::evaluate.
[[nodiscard]] Result<AttemptResult> run_evaluate_swap(const AttemptContext& attempt,
                                                      const EvaluationInputs& read,
                                                      std::span<const std::string> metrics,
                                                      ProgressSink& progress);

}  // namespace gauntlet::worker
