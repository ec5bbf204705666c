// `given` of a descriptor: an attack by its results, inputs that were made elsewhere.
#pragma once

#include "core/spec/detail/reading.hpp"
#include "core/spec/detail/yaml_tree.hpp"
#include "core/spec/external.hpp"

namespace gauntlet::spec::detail {

/// Reads `given: {inputs: FILE, items: FILE}` of a descriptor whose head, capabilities and budget are read.
/// Problems: what goes with a command only, more than one modality, no budget, names that are no plain files.
void read_given(const YamlNode& root, ExternalEntry& entry, Report& report);

}  // namespace gauntlet::spec::detail
