// Room in a write-ahead log before there is anything to write into it.
#pragma once

#include <cstdint>

#include "core/db/connection.hpp"

namespace gauntlet::db {

/// Makes the write-ahead log's file at least `n_bytes` long, or as long as a small part of the free space
/// allows: a commit that makes a file longer waits for the file system's own journal as well, on ext4 half as
/// long again. What is behind the last commit in the log says nothing to SQLite. Where it cannot be done (a
/// full disk, a database in memory, another program that writes), nothing changes.
void reserve_log(Connection& connection, std::int64_t n_bytes);

}  // namespace gauntlet::db
