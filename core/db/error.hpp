// SQLite's result codes as errors a person can act on.
#pragma once

#include <string>
#include <string_view>

#include "core/base/error.hpp"

struct sqlite3;

namespace gauntlet::db {

/// The error for `result_code`, with the database's path and SQLite's own words where they help:
///   FULL → kNoSpace; BUSY, LOCKED, PROTOCOL → kRefused "is locked by another program"; CORRUPT, NOTADB →
///   kCorrupt; READONLY, CANTOPEN, PERM, IOERR → kIo; INTERRUPT → kTimedOut; AUTH → kRefused; NOMEM →
///   kOutOfMemory; ERROR, RANGE, MISMATCH, TOOBIG → kInvalid (what the statement says is wrong); everything
///   else → kInternal.
/// `handle` may be null, then only the code speaks.
[[nodiscard]] Error error_of(sqlite3* handle, int result_code, std::string_view path);

}  // namespace gauntlet::db
