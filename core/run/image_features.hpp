// The features job's artifact: image features of every item of a prepared set, from a frozen backbone.
#pragma once

#include "core/base/result.hpp"
#include "core/io/npy.hpp"
#include "core/run/job_run.hpp"
#include "core/train/batches.hpp"

namespace gauntlet::run {

/// Mapped; `values` looks into `file`.
struct ImageFeatures {
  io::NpyArray file;
  train::CachedFeatures values;
};

/// Input "features" of a job; empty values when it has none. Errors: those of ArtifactStore::open; kCorrupt
/// when the array does not fit the set.
[[nodiscard]] Result<ImageFeatures> open_features(const JobRun& run, const data::PreparedSet& set);

}  // namespace gauntlet::run
