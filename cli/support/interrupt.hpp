// Ctrl-C and SIGTERM as a count that loops look at.
#pragma once

#include "core/base/clock.hpp"

namespace gauntlet::cli {

/// From now on SIGINT and SIGTERM are counted instead of ending the process.
void catch_interrupts();
[[nodiscard]] int n_interrupts();
/// Sleeps; a signal ends it early.
void pause_for(Milliseconds duration);

}  // namespace gauntlet::cli
