// Artifacts: the folders jobs leave behind, by job key, with a manifest of hashes and provenance.
//
//   <workdir>/artifacts/<kind>/<k[0:2]>/<key>/manifest.json + payload files
//
// An artifact is written in <workdir>/artifacts/.tmp and renamed in, so it is whole or absent. It is checked
// against its manifest when it is opened; a damaged one is moved to <workdir>/artifacts/.damaged/, and the
// error (kCorrupt) names it. manifest.json is canonical JSON: {"format": 1, "kind", "key", "job": canonical
// form, "about", "files": [{"name", "bytes", "sha256"}] sorted by name, "revision", "versions", "digest":
// SHA-256 of the same object without it}. It holds no times, so the same content made by the same code has
// the same manifest. Thread safety: all functions may be called from several threads and processes at once.
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
  spec::JobSpec job;  ///< the job that made it
  Json about;         ///< what the job wrote down beside its payload (dims, counts, scales); an object
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

/// Which code makes artifacts; written into their manifests.
struct Provenance {
  std::string revision;            ///< of the program's source
  Json versions = Json::object();  ///< library name → version
};

class ArtifactStore {
 public:
  explicit ArtifactStore(const std::filesystem::path& workdir, Provenance provenance = {})
      : root_(workdir / "artifacts"), provenance_(std::move(provenance)) {}

  [[nodiscard]] std::filesystem::path folder_of(spec::JobKind kind, const JobKey& key) const;
  [[nodiscard]] bool contains(spec::JobKind kind, const JobKey& key) const;

  /// Starts an empty folder. Errors: kNoSpace, kIo (read-only work folder), with the path.
  [[nodiscard]] Result<Draft> begin(const JobKey& key) const;
  /// Hashes every file, writes the manifest, syncs, renames in. When the artifact exists already (another
  /// attempt was faster), the existing one is kept and returned. Errors: kNoSpace, kIo; kInvalid for what
  /// cannot be an artifact: a link, a name that is not UTF-8, a file of the manifest's own name.
  [[nodiscard]] Result<Artifact> publish(Draft draft, const spec::JobSpec& job, const JobKey& key,
                                         const Json& about) const;

  /// Opens and checks sizes and hashes. A file whose size and time match a check made before in this process
  /// is not hashed again. Errors: kNotFound (no such artifact), kCorrupt (set aside, named).
  [[nodiscard]] Result<Artifact> open(spec::JobKind kind, const JobKey& key) const;

  /// The same without moving anything; without `hashes`, only names and sizes are compared. Errors:
  /// kNotFound, kCorrupt (says what is wrong, without the path).
  [[nodiscard]] Result<Artifact> look(spec::JobKind kind, const JobKey& key, bool hashes = true) const;

  /// Takes it away: renamed first, so that nobody opens a part of it. No such artifact is no error. Errors:
  /// kIo.
  [[nodiscard]] Status remove(spec::JobKind kind, const JobKey& key) const;

  /// Leftovers in .tmp: those of processes of this machine that are gone, and others not touched for seven
  /// days.
  [[nodiscard]] std::vector<std::filesystem::path> stale_drafts() const;
  void remove_stale_drafts() const;

  [[nodiscard]] const std::filesystem::path& root() const { return root_; }

 private:
  [[nodiscard]] Result<Artifact> check(spec::JobKind kind, const JobKey& key,
                                       const std::filesystem::path& folder, bool hashes = true) const;
  /// Moves a damaged artifact away, so that it is made again; the error to return.
  [[nodiscard]] Error set_aside(spec::JobKind kind, const JobKey& key, const std::filesystem::path& folder,
                                const Error& found) const;

  std::filesystem::path root_;
  Provenance provenance_;
};

}  // namespace gauntlet::artifacts
