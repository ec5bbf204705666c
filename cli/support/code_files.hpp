// Codes and labels from .npy files of people's own making.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/metrics/codes.hpp"
#include "core/metrics/labels.hpp"

namespace gauntlet::cli {

/// [n, K] of any integer or float type, bit = value > 0; or, with packed_bits > 0, u8 [n, ceil(packed_bits /
/// 8)], least significant bit first. Errors: kNotFound, kCorrupt; kInvalid with the file's name, what it
/// holds, what is needed.
[[nodiscard]] Result<metrics::PackedCodes> read_codes(const std::filesystem::path& path,
                                                      std::int64_t packed_bits);

/// [n, C] of 0 and 1, or [n] with one class (0, 1, …) per row. All files must be of the same form; with
/// classes, C is the largest one of all files plus one. Errors as above. In the order of the paths.
[[nodiscard]] Result<std::vector<metrics::LabelSets>> read_labels(
    const std::vector<std::filesystem::path>& paths);

}  // namespace gauntlet::cli
