// What `pause` and `resume` share: they differ in one bit.
#pragma once

#include "cli/verb.hpp"

namespace gauntlet::cli {

/// The verb that lets a sweep rest (`paused`) or go on.
[[nodiscard]] Action declare_pause_switch(Arguments& arguments, bool paused);

}  // namespace gauntlet::cli
