// Artifacts: the folders jobs leave behind, by job key, with a manifest of hashes and provenance.
//
//   <workdir>/artifacts/<kind>/<k[0:2]>/<key>/manifest.json + payload files
//
// An artifact is written in <workdir>/artifacts/.tmp and renamed in, so it is whole or absent. It is checked against its manifest when it is
// opened; a damaged one is moved to <workdir>/artifacts/.damaged/, and the error (kCorrupt) names it.
// Thread safety: all functions may be called from several threads and processes at once.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "core/spec/job_spec.hpp"

namespace gauntlet::artifacts {

/// A published artifact, checked.
struct Artifact {
  std::filesystem::path folder;
  spec::JobSpec job;     ///< the job that made it
  Json about;            ///< what the job wrote down beside its payload (dims, counts, scales); an object
  std::string manifest_hash;  ///< SHA-256 of manifest.json, hexadecimal
  [[nodiscard]] std::filesystem::path file(std::string_view name) const { return folder / name; }
};

/// A folder being filled; removed when dropped unpublished. Move-only.
class Draft {
 public:
  Draft(Draft&& other) noexcept;
  Draft& operator=(Draft&&) = delete;
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;
  ~Draft();
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

 private:
  friend class ArtifactStore;
  explicit Draft(std::filesystem::path folder) : folder_(std::move(folder)) {}
  std::filesystem::path folder_;
};

class ArtifactStore {
 public:
  explicit ArtifactStore(std::filesystem::path workdir) : root_(std::move(workdir) / "artifacts") {}

  [[nodiscard]] std::filesystem::path folder_of(spec::JobKind kind, const JobKey& key) const;
  [[nodiscard]] bool contains(spec::JobKind kind, const JobKey& key) const;

  /// Starts an empty folder. Errors: kNoSpace, kIo (read-only work folder), with the path.
  [[nodiscard]] Result<Draft> begin(const JobKey& key) const;
  /// Hashes every file, writes the manifest, syncs, renames in. When the artifact exists already (another attempt was faster),
  /// the existing one is kept and returned.
  [[nodiscard]] Result<Artifact> publish(Draft draft, const spec::JobSpec& job, const JobKey& key, const Json& about) const;

  /// Opens and checks sizes and hashes. A file whose size and time match a check made before in this process is not hashed
  /// again. Errors: kNotFound (no such artifact), kCorrupt (set aside, named).
  [[nodiscard]] Result<Artifact> open(spec::JobKind kind, const JobKey& key) const;

  /// Removes leftovers of dead processes in .tmp.
  void remove_stale_drafts() const;

 private:
  std::filesystem::path root_;
};

}  // namespace gauntlet::artifacts
