// manifest.json: what an artifact's folder must hold. See artifact_store.hpp for the format.
// Thread safety: plain values; the functions may be called from several threads at once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "core/spec/job_spec.hpp"

namespace gauntlet::artifacts {

inline constexpr const char* kManifestName = "manifest.json";

struct ManifestFile {
  std::string name;  ///< relative, '/' between folders
  std::uint64_t bytes = 0;
  std::string sha256;  ///< hexadecimal
};

struct Manifest {
  spec::JobSpec job;
  JobKey key;
  Json about = Json::object();
  std::vector<ManifestFile> files;  ///< sorted by name
  std::string revision;
  Json versions = Json::object();
};

/// Canonical text, its own digest included. Errors (kInvalid): a name that is not UTF-8, a number that is not
/// finite.
[[nodiscard]] Result<std::string> write_manifest(const Manifest& manifest);

/// Reads and checks what can be checked without the files: the digest, the format, the key against the job's
/// canonical form, names that stay inside the folder. Errors: kCorrupt.
[[nodiscard]] Result<Manifest> read_manifest(std::string_view text);

/// Every regular file below `folder` but the manifest, hashed; sorted by name.
/// Errors: kIo, kNoSpace; kInvalid for anything that is neither file nor folder.
[[nodiscard]] Result<std::vector<ManifestFile>> list_files(const std::filesystem::path& folder);

/// Flushes a file or folder to disk.
[[nodiscard]] Status sync_path(const std::filesystem::path& path);

}  // namespace gauntlet::artifacts
