// The job kinds that need torch, one function and one file each: inputs → artifact, rows, curves.
// All ranks of a gang call the same function; rank 0 publishes the artifact and returns the rows, the others
// return nothing.
#pragma once

#include "core/base/result.hpp"
#include "core/run/job_run.hpp"

namespace gauntlet::run {

/// Inputs that craft and encode handle at once: the maps of so many small pictures stay in a core's cache,
/// which is 10 to 50 % faster on CPUs than batches of 128 and 512.
inline constexpr std::int64_t kInputsPerBatch = 64;

/// Image features of every item of the set from a frozen backbone, for every model that has it. Artifact:
/// features.npy, float32 [n_items, F]. No rows.
[[nodiscard]] Result<worker::AttemptResult> run_features(const JobRun& run);

/// Trains a target model from scratch, on pictures or on the cached features of its backbone. Artifact:
/// model.safetensors; about: {"shape", "n_steps", "n_skipped"}. Rows: training_time, parameters,
/// unlabelled_items.
[[nodiscard]] Result<worker::AttemptResult> run_train_model(const JobRun& run);

/// Trains an attack. Artifact: attack.safetensors. Rows: training_time, parameters, queries_used.
[[nodiscard]] Result<worker::AttemptResult> run_train_attack(const JobRun& run);

/// Perturbs queries, items of the retrieval set or the training set. Artifact: inputs.npy (query, retrieval)
/// or perturbations.npy + scale (train), rows.npy; targets.npy and target_items.npy of targeted attacks.
/// Rows: perceptibility, linf, l2, queries_used.
[[nodiscard]] Result<worker::AttemptResult> run_craft(const JobRun& run);

/// Trains a defense for one modality, or for both at once. Artifact: defense.safetensors. Rows: parameters,
/// training_time.
[[nodiscard]] Result<worker::AttemptResult> run_train_defense(const JobRun& run);

/// Codes of a part of the set, or of a crafted set, through a pipeline. Of a crafted retrieval set every item
/// is encoded, those that were not attacked as they are. Artifact: codes.npy, rows.npy. Rows: encoding_rate;
/// of queries through a defense also added_latency, and parameters and training_time, both 0, when that
/// defense does not train.
[[nodiscard]] Result<worker::AttemptResult> run_encode(const JobRun& run);

}  // namespace gauntlet::run
