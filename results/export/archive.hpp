// Folders and .tar.zst files of an export, both hostile until looked at.
// Thread safety: free functions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "core/base/result.hpp"

namespace gauntlet::results {

/// Writes a new folder, or a new archive where the name ends in ".tar.zst" (entries by name, no times, no
/// owners: the same files give the same bytes), under another name first. Errors: kRefused (it exists), kIo,
/// kNoSpace.
[[nodiscard]] Status write_export(const std::filesystem::path& target,
                                  const std::map<std::string, std::string>& files);

/// Reads the files of a folder or archive that an import needs; nothing is unpacked to disk. Errors:
/// kNotFound; kCorrupt, each named: no archive, a name an export does not have (absolute, with "..", anything
/// else), a link or device, a name twice, more than `max_bytes` of content or 1,000,000 entries.
[[nodiscard]] Result<std::map<std::string, std::string>> read_export(const std::filesystem::path& source,
                                                                     std::uint64_t max_bytes);

}  // namespace gauntlet::results
