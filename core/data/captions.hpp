// What people call an item of a prepared set.
#pragma once

#include <string>
#include <vector>

#include "core/data/prepared_set.hpp"

namespace gauntlet::data {

/// Names of an item's labels.
[[nodiscard]] std::vector<std::string> labels_of_item(const PreparedSet& set, std::int64_t row);

/// Names of the places of a text, or nothing: a set may have words without names, or features.
[[nodiscard]] std::vector<std::string> word_names(const PreparedSet& set);

/// Names of the words of an item's text; nothing where words have no names.
[[nodiscard]] std::vector<std::string> words_of_item(const PreparedSet& set, std::int64_t row);

}  // namespace gauntlet::data
