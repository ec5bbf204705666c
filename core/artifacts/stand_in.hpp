// What a job of a kind left, or what stands in for it with the same files: the command job of an external
// entry, or a selection, which is one of several such jobs. Thread safety: as ArtifactStore.
#pragma once

#include "core/artifacts/artifact_store.hpp"

namespace gauntlet::artifacts {

/// Errors: as ArtifactStore::open.
[[nodiscard]] inline Result<Artifact> open_made(const ArtifactStore& store, spec::JobKind kind,
                                                const JobKey& key) {
  for (const spec::JobKind other : {spec::JobKind::kCommand, spec::JobKind::kEvaluate}) {
    if (store.contains(other, key)) return store.open(other, key);
  }
  return store.open(kind, key);
}

/// Whether the artifact is a selection's, whose entry has the options of the candidate that was chosen.
[[nodiscard]] inline bool is_chosen(const Artifact& artifact) { return artifact.about.contains("chosen"); }

/// The options of the entry that made a checkpoint. `kind` is where a training job's config has them: "model"
/// or "defense".
[[nodiscard]] inline Json options_of(const Artifact& artifact, const char* kind) {
  if (is_chosen(artifact)) return artifact.about["chosen"].value("config", Json::object());
  return artifact.job.config.value(kind, Json::object());
}

}  // namespace gauntlet::artifacts
