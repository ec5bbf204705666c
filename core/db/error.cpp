#include "core/db/error.hpp"

#include <fmt/core.h>
#include <sqlite3.h>

#include <cstring>

namespace gauntlet::db {
namespace {

std::string words_of(sqlite3* handle, int result_code) {
  std::string words = sqlite3_errstr(result_code);
  if (handle == nullptr) return words;
  if (sqlite3_extended_errcode(handle) == result_code ||
      (sqlite3_errcode(handle) & 0xff) == (result_code & 0xff)) {
    words = sqlite3_errmsg(handle);
  }
  const int system = sqlite3_system_errno(handle);
  const int primary = result_code & 0xff;
  if (system != 0 && (primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN)) {
    words += fmt::format(" ({})", std::strerror(system));
  }
  return words;
}

}  // namespace

Error error_of(sqlite3* handle, int result_code, std::string_view path) {
  const std::string words = words_of(handle, result_code);
  switch (result_code & 0xff) {
    case SQLITE_FULL:
      return {ErrorCode::kNoSpace, fmt::format("no space left for database {}: {}", path, words)};
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:  // BUSY while the shared index of the log is read
      return {ErrorCode::kRefused, fmt::format("database {} is locked by another program: {}", path, words)};
    case SQLITE_NOTADB:
      return {ErrorCode::kCorrupt, fmt::format("{} is not a Gauntlet database: {}", path, words)};
    case SQLITE_CORRUPT:
      return {ErrorCode::kCorrupt, fmt::format("database {} is damaged: {}", path, words)};
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return {ErrorCode::kIo, fmt::format("cannot write database {}: {}", path, words)};
    case SQLITE_CANTOPEN:
      return {ErrorCode::kIo, fmt::format("cannot open database {}: {}", path, words)};
    case SQLITE_IOERR:
      return {ErrorCode::kIo, fmt::format("database {}: {}", path, words)};
    case SQLITE_INTERRUPT:
      return {ErrorCode::kTimedOut, fmt::format("database {}: the statement was stopped", path)};
    case SQLITE_AUTH:
      return {ErrorCode::kRefused, fmt::format("database {}: {}", path, words)};
    case SQLITE_NOMEM:
      return {ErrorCode::kOutOfMemory, fmt::format("database {}: {}", path, words)};
    case SQLITE_ERROR:
    case SQLITE_RANGE:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
      return {ErrorCode::kInvalid, fmt::format("database {}: {}", path, words)};
    default:
      return {ErrorCode::kInternal, fmt::format("database {}: {} (code {})", path, words, result_code)};
  }
}

}  // namespace gauntlet::db
