// Selection: which of several candidates is the best on validation items. Torch-free.
// Thread safety: free functions on files that nobody changes.
#pragma once

#include <vector>

#include "core/base/result.hpp"
#include "core/data/prepared_set.hpp"
#include "core/spec/result_row.hpp"
#include "worker/executor/executor.hpp"

namespace gauntlet::worker {

/// What an evaluation on validation items adds to one on queries: every row gets the prefix "validation_", so
/// that it is never taken for one on queries, and goes into an artifact (rows.json), which a selection reads.
/// Errors: kInvalid when `set` is not a validation split.
[[nodiscard]] Result<AttemptResult> publish_validation(const AttemptContext& attempt,
                                                       const data::PreparedSet& set, AttemptResult result);

/// Picks one of `config.select.candidates`: the one whose mean of `config.select.metric` over its scores is
/// best, by the metric's own direction; of equals the first. Inputs: score_0000, score_0001, … (evaluations
/// on validation items, n_scores of them for each candidate, candidate by candidate) and, where candidates
/// are trained, candidate_000, … (their checkpoints). Artifact: the files of the chosen one's checkpoint and
/// selection.json, every candidate with its scores; about: the checkpoint's, and "chosen": {"index",
/// "values", "config"}. Rows: selected_<kind>:validation_<metric> (the winner's mean, n = its scores),
/// selected_<kind>:candidate (its number, from 0), selected_<kind>:<option> for every option that was tried:
/// its value, 0 or 1 for false or true, for texts the place among the values tried. Errors: kInvalid for a
/// score that is not a number, or that was not measured on validation items.
[[nodiscard]] Result<AttemptResult> run_select(const AttemptContext& attempt);

}  // namespace gauntlet::worker
