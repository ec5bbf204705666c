// A slow disk for measurements: every sync of a write-ahead log takes longer.
#pragma once

#include "core/base/clock.hpp"
#include "core/base/result.hpp"

namespace gauntlet::db {

/// From now on, every sync of a write-ahead log takes so much longer; of databases that this process opens
/// after the first call. Not to be called by two threads at once. Errors: kInternal when SQLite takes no
/// other file layer.
[[nodiscard]] Status delay_commits(Milliseconds by);

}  // namespace gauntlet::db
