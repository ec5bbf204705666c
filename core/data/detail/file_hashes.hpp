// SHA-256 of source files, remembered between runs.
#pragma once

#include <filesystem>
#include <string>

#include "core/base/result.hpp"

namespace gauntlet::data::detail {

/// Hexadecimal SHA-256 of a file. Remembered by (absolute path, size, modification time) in
/// $XDG_CACHE_HOME/gauntlet/file-hashes.json (else ~/.cache/gauntlet), and simply computed again when that
/// cannot be read or written. Errors: kNotFound, kIo. Thread safety: any thread, any process.
[[nodiscard]] Result<std::string> cached_sha256(const std::filesystem::path& path);

}  // namespace gauntlet::data::detail
