// A descriptor of an external entry, from YAML to checked values. Opens nothing.
#pragma once

#include <string_view>

#include "core/spec/detail/reading.hpp"
#include "core/spec/external.hpp"

namespace gauntlet::spec::detail {

/// Everything but `hash`; paths are as written. Problems go to the report.
[[nodiscard]] ExternalEntry read_descriptor(const YamlNode& root, Report& report);

}  // namespace gauntlet::spec::detail
