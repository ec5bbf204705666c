// Takes a folder that was filled elsewhere, with its manifest, into a work folder's artifacts.
// Thread safety: may be called from several threads and processes at once.
#pragma once

#include <filesystem>
#include <string_view>

#include "core/artifacts/artifact_store.hpp"

namespace gauntlet::artifacts {

/// `folder` holds the files of the manifest, checked and flushed by the caller, and nothing else; it lies on
/// the file system of the store and is gone afterwards. When the artifact exists already, the existing one is
/// kept and returned. Errors: kCorrupt (the manifest), kNoSpace, kIo.
[[nodiscard]] Result<Artifact> adopt(const ArtifactStore& store, const std::filesystem::path& folder,
                                     std::string_view manifest_text);

/// The text of an artifact's manifest.json, whatever its kind, and where it lies. Errors: kNotFound, kIo.
struct FoundManifest {
  std::filesystem::path folder;
  std::string text;
};
[[nodiscard]] Result<FoundManifest> find_manifest(const ArtifactStore& store, const JobKey& key);

}  // namespace gauntlet::artifacts
