// What a job of a kind left, or what the command job of an external entry that stands in for it left: the
// same files. Thread safety: as ArtifactStore.
#pragma once

#include "core/artifacts/artifact_store.hpp"

namespace gauntlet::artifacts {

/// Errors: as ArtifactStore::open.
[[nodiscard]] inline Result<Artifact> open_made(const ArtifactStore& store, spec::JobKind kind,
                                                const JobKey& key) {
  return store.open(store.contains(spec::JobKind::kCommand, key) ? spec::JobKind::kCommand : kind, key);
}

}  // namespace gauntlet::artifacts
