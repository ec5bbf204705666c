#include "core/db/commit_delay.hpp"

#include <sqlite3.h>

#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include "core/db/connection.hpp"

namespace gauntlet::db {
namespace {

// SQLite's own file layer under another name: its logs get the same methods but for the sync.
struct SlowLayer {
  sqlite3_vfs layer{};
  sqlite3_vfs* real = nullptr;
  std::atomic<Milliseconds> delay{Milliseconds(0)};
  std::mutex mutex;
  std::map<const sqlite3_io_methods*, sqlite3_io_methods> slowed;  ///< the real methods → their slow twins
  std::map<const sqlite3_io_methods*, const sqlite3_io_methods*> originals;  ///< and back
};

SlowLayer& slow_layer() {
  static SlowLayer slow;
  return slow;
}

int sync_slowly(sqlite3_file* file, int flags) {
  SlowLayer& slow = slow_layer();
  std::this_thread::sleep_for(slow.delay.load());
  const sqlite3_io_methods* real = nullptr;
  {
    const std::lock_guard lock(slow.mutex);
    real = slow.originals.at(file->pMethods);
  }
  return real->xSync(file, flags);
}

int open_slowly(sqlite3_vfs* /*layer*/, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  SlowLayer& slow = slow_layer();
  const int code = slow.real->xOpen(slow.real, name, file, flags, out_flags);
  if (code != SQLITE_OK || (flags & SQLITE_OPEN_WAL) == 0) return code;
  const std::lock_guard lock(slow.mutex);
  const auto [twin, is_new] = slow.slowed.try_emplace(file->pMethods, *file->pMethods);
  if (is_new) {
    twin->second.xSync = &sync_slowly;
    slow.originals.emplace(&twin->second, file->pMethods);
  }
  file->pMethods = &twin->second;
  return code;
}

}  // namespace

Status delay_commits(Milliseconds by) {
  GAUNTLET_CHECK_OK(Connection::open_in_memory());  // SQLite is configured before its first use only
  SlowLayer& slow = slow_layer();
  slow.delay = by;
  if (slow.real != nullptr) return {};
  slow.real = sqlite3_vfs_find(nullptr);
  if (slow.real == nullptr) return fail(ErrorCode::kInternal, "SQLite has no file layer");
  slow.layer = *slow.real;
  slow.layer.zName = "gauntlet-slow";
  slow.layer.pNext = nullptr;
  slow.layer.xOpen = &open_slowly;
  if (sqlite3_vfs_register(&slow.layer, 1) == SQLITE_OK) return {};
  return fail(ErrorCode::kInternal, "SQLite does not take another file layer");
}

}  // namespace gauntlet::db
