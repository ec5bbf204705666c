#include "core/db/reserve_log.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "core/db/transaction.hpp"

namespace gauntlet::db {
namespace {

constexpr std::int64_t kChunkBytes = 1 << 16;  ///< SQLite writes no more at once
constexpr std::uintmax_t kShareOfFree = 32;    ///< the part of the free space that it may take

std::int64_t affordable_bytes(const std::filesystem::path& database) {
  std::error_code error;
  const auto space = std::filesystem::space(database, error);
  return error ? 0 : static_cast<std::int64_t>(space.available / kShareOfFree);
}

bool lengthen(sqlite3_file* log, std::int64_t from, std::int64_t to) {
  const std::vector<char> zeros(kChunkBytes);
  for (std::int64_t at = from; at < to; at += kChunkBytes) {
    const auto size = static_cast<int>(std::min(kChunkBytes, to - at));
    if (log->pMethods->xWrite(log, zeros.data(), size, at) != SQLITE_OK) return false;
  }
  return log->pMethods->xSync(log, SQLITE_SYNC_NORMAL) == SQLITE_OK;
}

}  // namespace

void reserve_log(Connection& connection, std::int64_t n_bytes) {
  // Nobody else makes it longer meanwhile; dropped, it leaves the database as it was.
  const Result<Transaction> writing = Transaction::begin(connection);
  if (!writing) return;
  sqlite3_file* log = nullptr;
  sqlite3_file_control(connection.handle(), "main", SQLITE_FCNTL_JOURNAL_POINTER, static_cast<void*>(&log));
  sqlite3_int64 size = 0;
  if (log == nullptr || log->pMethods == nullptr || log->pMethods->xFileSize(log, &size) != SQLITE_OK) return;
  const std::int64_t wanted = std::min(n_bytes, affordable_bytes(connection.path()));
  if (size < wanted && !lengthen(log, size, wanted)) log->pMethods->xTruncate(log, size);
}

}  // namespace gauntlet::db
