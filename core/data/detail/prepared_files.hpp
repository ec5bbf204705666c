// The files of a prepared folder as files: which there are, what they hash to.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/data/prepared_set.hpp"

namespace gauntlet::data::detail {

/// Names of the format's files that exist in `folder`, in byte order.
[[nodiscard]] std::vector<std::string_view> files_of(const std::filesystem::path& folder);

/// Checks values that opening a set does not look at: 0/1 texts are 0 or 1, real texts and features are
/// finite. Errors (kInvalid) name the file, the row and the value.
[[nodiscard]] Status check_values(const PreparedSet& set);

}  // namespace gauntlet::data::detail
