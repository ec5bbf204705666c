// Values of a sweep file's axes as YAML, read and written. Thread safety: as yaml-cpp's nodes, which share
// what they hold.
#pragma once

#include <yaml-cpp/yaml.h>

#include <string>
#include <vector>

#include "core/base/json.hpp"

namespace gauntlet::results {

/// An option's value.
[[nodiscard]] YAML::Node node_of(const Json& value);

/// Copies of the items of a list, or of the one value that stands for a list of one: a node that is put
/// elsewhere would otherwise be in both places.
[[nodiscard]] std::vector<YAML::Node> items_of(const YAML::Node& node);

/// What a value is called: its label, else its name.
[[nodiscard]] std::string label_of(const YAML::Node& value);

/// A copy of a value as the mapping that a bare name stands for.
[[nodiscard]] YAML::Node as_map(const YAML::Node& value);

/// The value takes part in cells of these defenses alone.
void limit_to_defenses(YAML::Node& value, const std::vector<std::string>& defenses);

}  // namespace gauntlet::results
