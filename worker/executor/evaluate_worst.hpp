// Evaluation of a cell whose attack is an ensemble: the worst of its members' codes for every query, beside
// the reference levels. Rows: docs/robustness.md, "Rows".
#pragma once

#include <span>
#include <string>

#include "worker/executor/evaluation_inputs.hpp"

namespace gauntlet::worker {

/// `config.worst.members` names the inputs worst_of_000, worst_of_001, … in order; `query_codes` are the
/// clean queries, which are a member too. Errors: kInvalid (config), kCorrupt (codes of other queries or
/// lengths), those of metrics::evaluate.
[[nodiscard]] Result<AttemptResult> run_evaluate_worst(const AttemptContext& attempt,
                                                       const EvaluationInputs& read,
                                                       std::span<const std::string> metrics,
                                                       ProgressSink& progress);

}  // namespace gauntlet::worker
