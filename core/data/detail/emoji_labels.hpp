// The labels of a subgroup of Unicode's emoji list.
#pragma once

#include <optional>
#include <string_view>

#include "core/data/detail/emoji_concepts.hpp"

namespace gauntlet::data::detail {

/// Nothing for a subgroup the table does not know.
[[nodiscard]] std::optional<LabelMask> labels_of_subgroup(std::string_view subgroup);

}  // namespace gauntlet::data::detail
