// What lies in a work folder's artifacts/: artifacts by kind and key, and what was left behind. Reads names
// only. Thread safety: may be called beside anything that writes there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/ids.hpp"
#include "core/base/result.hpp"
#include "core/spec/job_spec.hpp"

namespace gauntlet::artifacts {

struct FoundArtifact {
  spec::JobKind kind = spec::JobKind::kNoop;
  JobKey key;
  std::filesystem::path folder;
};

/// Something that nothing will ever use.
struct Leftover {
  std::filesystem::path path;
  std::string what;  ///< "a temporary folder of a process that is gone", …
};

struct Inventory {
  std::vector<FoundArtifact> artifacts;          ///< sorted by kind and key
  std::vector<Leftover> leftovers;               ///< stale drafts and damaged artifacts that were set aside
  std::vector<std::filesystem::path> strangers;  ///< files and folders that no artifact has; never touched
};

/// Errors: kIo. No artifacts/ folder is an empty inventory.
[[nodiscard]] Result<Inventory> take_inventory(const std::filesystem::path& workdir);

/// Bytes that the files at and below `path` occupy on the disk; what vanishes meanwhile counts nothing.
[[nodiscard]] std::uint64_t disk_bytes(const std::filesystem::path& path);

}  // namespace gauntlet::artifacts
