// Evaluation of queries that a defense may refuse to answer. Rows: docs/robustness.md, "Defenses that
// refuse".
#pragma once

#include <span>
#include <string>

#include "worker/executor/evaluation_inputs.hpp"

namespace gauntlet::worker {

/// `read.query` has refusal scores. An attacked query that is refused is worth what the clean one is
/// (`read.clean`), and a clean one that is refused nothing. Errors: those of metrics::evaluate.
[[nodiscard]] Result<AttemptResult> run_evaluate_refusals(const AttemptContext& attempt,
                                                          const EvaluationInputs& read,
                                                          std::span<const std::string> metrics);

/// "refused" of these queries, with a value per query. Of attacked ones (`clean` is not null) also
/// "refused:clean", "refusal_area" and the curve "roc:refusals".
void add_refusal_rows(const Codes& query, const Codes* clean, AttemptResult& result);

}  // namespace gauntlet::worker
