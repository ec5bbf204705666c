// gauntlet alloc SYSTEM add, for any batch system.
#pragma once

#include <string_view>

#include "cli/verb.hpp"

namespace gauntlet::cli {

/// Declares the options and returns what runs. `system`: a name of batch_systems.def.
[[nodiscard]] Action declare_alloc_add(Arguments& arguments, std::string_view system);

}  // namespace gauntlet::cli
