// What the command of a descriptor runs with: files beside it, a virtual environment, variables, limits.
#pragma once

#include "core/spec/detail/reading.hpp"
#include "core/spec/detail/yaml_tree.hpp"
#include "core/spec/external.hpp"

namespace gauntlet::spec::detail {

/// Reads `files`, `venv`, `environment` and `limits`; what is not written keeps its default. Problems: files
/// outside the descriptor's folder or where inputs and outputs go, names that are no variables or belong to
/// the program, limits of nothing.
void read_surroundings(const YamlNode& root, ExternalEntry& entry, Report& report);

}  // namespace gauntlet::spec::detail
