#include "core/artifacts/adopt.hpp"

#include <cerrno>
#include <system_error>

#include "core/artifacts/manifest.hpp"
#include "core/base/files.hpp"
#include "core/base/hash.hpp"

namespace gauntlet::artifacts {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxManifestBytes = std::size_t{64} << 20;

Status sync_folders(const fs::path& folder) {
  std::error_code error;
  auto it = fs::recursive_directory_iterator(folder, error);
  for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    if (it->is_directory(error)) GAUNTLET_CHECK_OK(sync_path(it->path()));
  }
  if (error) return fail(system_error(error.value(), "flush", folder));
  return sync_path(folder);
}

}  // namespace

Result<Artifact> adopt(const ArtifactStore& store, const fs::path& folder, std::string_view manifest_text) {
  GAUNTLET_TRY(Manifest manifest, read_manifest(manifest_text));
  GAUNTLET_CHECK_OK(write_file_atomic(folder / kManifestName, manifest_text));
  GAUNTLET_CHECK_OK(sync_folders(folder));
  const fs::path place = store.folder_of(manifest.job.kind, manifest.key);
  GAUNTLET_CHECK_OK(make_directories(place.parent_path()));
  while (::rename(folder.c_str(), place.c_str()) != 0) {
    const int reason = errno;
    // ENOENT: another process was given the same folder, and was faster.
    if (reason != ENOTEMPTY && reason != EEXIST && reason != ENOENT)
      return fail(system_error(reason, "write", place));
    Result<Artifact> existing = store.open(manifest.job.kind, manifest.key);
    const bool out_of_the_way = !existing && (existing.error().code == ErrorCode::kCorrupt ||
                                              existing.error().code == ErrorCode::kNotFound);
    if (out_of_the_way && reason != ENOENT) continue;  // a damaged one has been set aside
    if (existing) {
      std::error_code ignored;  // what stays is removed as stale later
      fs::remove_all(folder, ignored);
    }
    return existing;
  }
  GAUNTLET_CHECK_OK(sync_path(place.parent_path()));
  GAUNTLET_CHECK_OK(sync_path(place.parent_path().parent_path()));
  return Artifact{place, std::move(manifest.job), std::move(manifest.about), to_hex(sha256(manifest_text))};
}

Result<FoundManifest> find_manifest(const ArtifactStore& store, const JobKey& key) {
  for (int number = 0; number < spec::kJobKindCount; ++number) {
    const fs::path folder = store.folder_of(static_cast<spec::JobKind>(number), key);
    Result<std::string> text = read_file(folder / kManifestName, kMaxManifestBytes);
    if (text) return FoundManifest{folder, std::move(*text)};
    if (text.error().code != ErrorCode::kNotFound) return fail(std::move(text.error()));
  }
  return fail(ErrorCode::kNotFound, "there is no artifact {} in {}", key.brief(), store.root().string());
}

}  // namespace gauntlet::artifacts
