// A copy of a database as it is at one moment, while others write to it.
// Thread safety: none; the source connection's thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "core/base/result.hpp"
#include "core/db/connection.hpp"

namespace gauntlet::db {

struct Backup {
  std::uint64_t bytes = 0;
  std::map<std::string, std::int64_t> rows;  ///< by table, equal in source and copy
};

/// Told how much is copied, from 0 to 1; false ends the copy.
using BackupProgress = std::function<bool(double)>;

/// Copies the database of `source` into a new file: one file that needs no log beside it. Writers are not
/// held up; their log cannot shrink until the copy is made. The copy is written under another name, checked
/// (SQLite's integrity check, rows of every table against the source), synced, and renamed. Errors: kRefused
/// (the file exists), kInterrupted (progress said so), kCorrupt (the copy is not what it should be: damaged
/// memory or disk), kNoSpace, kIo; none of them leaves a file.
[[nodiscard]] Result<Backup> back_up(Connection& source, const std::filesystem::path& target,
                                     const BackupProgress& progress = {});

}  // namespace gauntlet::db
