// The self-test of published weight files: what `gauntlet-rank --check-backbone` prints.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/result.hpp"

namespace gauntlet::run {

/// The file's checksum, then for every picture (PNG) its five most probable classes, a line each. Errors:
/// those of reading the files.
[[nodiscard]] Result<std::string> check_backbone(const std::filesystem::path& weights,
                                                 const std::vector<std::filesystem::path>& pictures);

}  // namespace gauntlet::run
