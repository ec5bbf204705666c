// The job kind that shows a person what an attack did.
#pragma once

#include "core/base/result.hpp"
#include "core/run/job_run.hpp"

namespace gauntlet::run {

/// Shows what an attack did to a few queries and where a defense's branches look. Config: "defense",
/// "modality", "queries" (a number to draw, or rows of the data set), "stage" (Explainable::branch_maps).
/// Artifact: rows.npy, and one row per query: clean.npy, adversarial.npy, difference.npy (of the inputs'
/// shape), purified.npy where the defense changes inputs, and for each of its maps <map>.npy (adversarial)
/// and <map>_clean.npy, float in [0,1] [n, H, W] or [n, D]; about: {"modality", "n", "bits", "maps",
/// "absolute", "stage", "numbers": {name: [per query]}}. Rows: bits_flipped, bits_flipped_defended; of maps
/// heat_cosine_<map>, heat_<map>_on_change; of both branches heat_iou, heat_cosine_arf_avf. Errors:
/// kInvalid (a row that is no query of the set, a stage the defense has not).
[[nodiscard]] Result<worker::AttemptResult> run_explain(const JobRun& run);

}  // namespace gauntlet::run
