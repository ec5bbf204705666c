#include "core/artifacts/inventory.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <tuple>

#include "core/artifacts/artifact_store.hpp"
#include "core/base/files.hpp"

namespace gauntlet::artifacts {
namespace {

namespace fs = std::filesystem;

/// Entries of a folder; none when it is not there, or goes away meanwhile.
Result<std::vector<fs::path>> entries_of(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  auto it = fs::directory_iterator(folder, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) entries.push_back(it->path());
  if (error && error != std::errc::no_such_file_or_directory) {
    return fail(system_error(error.value(), "read", folder));
  }
  return entries;
}

/// artifacts/<kind>/<k[0:2]>/<key>/
Status add_kind(spec::JobKind kind, const fs::path& folder, Inventory& inventory) {
  GAUNTLET_TRY(const std::vector<fs::path> heads, entries_of(folder));
  for (const fs::path& head : heads) {
    std::error_code ignored;
    if (!fs::is_directory(head, ignored)) {
      inventory.strangers.push_back(head);
      continue;
    }
    GAUNTLET_TRY(const std::vector<fs::path> entries, entries_of(head));
    for (const fs::path& entry : entries) {
      const std::string name = entry.filename().string();
      const Result<Digest> digest = digest_from_hex(name);
      if (digest && fs::is_directory(entry, ignored) && name.substr(0, 2) == head.filename().string()) {
        inventory.artifacts.push_back({kind, JobKey{*digest}, entry});
      } else {
        inventory.strangers.push_back(entry);
      }
    }
  }
  return {};
}

}  // namespace

Result<Inventory> take_inventory(const fs::path& workdir) {
  const ArtifactStore store(workdir);
  Inventory inventory;
  GAUNTLET_TRY(const std::vector<fs::path> entries, entries_of(store.root()));
  for (const fs::path& entry : entries) {
    const std::string name = entry.filename().string();
    if (name == ".tmp") {
      for (fs::path& draft : store.stale_drafts()) {
        inventory.leftovers.push_back({std::move(draft), "a temporary folder of a process that is gone"});
      }
    } else if (name == ".damaged") {
      GAUNTLET_TRY(const std::vector<fs::path> damaged, entries_of(entry));
      for (const fs::path& one : damaged)
        inventory.leftovers.push_back({one, "a damaged artifact, set aside"});
    } else if (const Result<spec::JobKind> kind = spec::job_kind_from(name)) {
      GAUNTLET_CHECK_OK(add_kind(*kind, entry, inventory));
    } else {
      inventory.strangers.push_back(entry);
    }
  }
  std::sort(inventory.artifacts.begin(), inventory.artifacts.end(),
            [](const FoundArtifact& one, const FoundArtifact& other) {
              return std::tie(one.kind, one.key) < std::tie(other.kind, other.key);
            });
  std::sort(inventory.leftovers.begin(), inventory.leftovers.end(),
            [](const Leftover& one, const Leftover& other) { return one.path < other.path; });
  std::sort(inventory.strangers.begin(), inventory.strangers.end());
  return inventory;
}

std::uint64_t disk_bytes(const fs::path& path) {
  struct stat about {};
  if (::lstat(path.c_str(), &about) != 0) return 0;
  std::uint64_t bytes = static_cast<std::uint64_t>(about.st_blocks) * 512;
  if (!S_ISDIR(about.st_mode)) return bytes;
  std::error_code error;
  auto it = fs::recursive_directory_iterator(path, error);
  for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    if (::lstat(it->path().c_str(), &about) == 0) bytes += static_cast<std::uint64_t>(about.st_blocks) * 512;
  }
  return bytes;
}

}  // namespace gauntlet::artifacts
