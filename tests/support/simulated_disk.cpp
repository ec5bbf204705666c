#include "tests/support/simulated_disk.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "core/base/check.hpp"
#include "tests/support/simulated_file.hpp"

namespace gauntlet::testing_support {
namespace {

bool is_change(DiskStep step) {
  return step == DiskStep::kWrite || step == DiskStep::kTruncate || step == DiskStep::kSync ||
         step == DiskStep::kDelete;
}

int error_without_power(DiskStep step) {
  constexpr std::array<int, kDiskSteps> kErrors = {
      SQLITE_CANTOPEN,    SQLITE_IOERR_READ,   SQLITE_IOERR_WRITE, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_FSYNC,
      SQLITE_IOERR_FSTAT, SQLITE_IOERR_DELETE, SQLITE_IOERR_LOCK,  SQLITE_IOERR_SHMMAP};
  return kErrors[static_cast<std::size_t>(step)];
}

}  // namespace

struct SimulatedDisk::Handle {
  sqlite3_file base;
  SimulatedDisk* disk;
  SimulatedFile* file;
  bool delete_on_close;
  bool sync_folder;  ///< with the first sync, as SQLite does it on Unix for journals and logs
  unsigned shared;   ///< shared-memory locks it holds, one bit each
  unsigned exclusive;
};

/// The functions SQLite calls.
struct SimulatedDisk::Methods {
  using Lock = std::lock_guard<std::mutex>;

  static SimulatedDisk& disk_of(sqlite3_vfs* vfs) { return *static_cast<SimulatedDisk*>(vfs->pAppData); }
  static Handle& handle_of(sqlite3_file* file) { return *reinterpret_cast<Handle*>(file); }

  // ---- the file system

  static int open(sqlite3_vfs* vfs, sqlite3_filename name, sqlite3_file* raw, int flags, int* out_flags) {
    SimulatedDisk& disk = disk_of(vfs);
    const Lock lock(disk.mutex_);
    raw->pMethods = nullptr;
    if (const int error = disk.meet(DiskStep::kOpen); error != SQLITE_OK) return error;
    SimulatedFile* file = nullptr;
    if (name == nullptr) {
      file = disk.nameless_.emplace_back(std::make_unique<SimulatedFile>()).get();
    } else {
      file = &disk.file(name);
      if (!file->exists && (flags & SQLITE_OPEN_CREATE) == 0) return SQLITE_CANTOPEN;
    }
    file->exists = true;
    constexpr int kJournals = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL;
    Handle& handle = handle_of(raw);
    handle = {{&kFile}, &disk, file, (flags & SQLITE_OPEN_DELETEONCLOSE) != 0, false, 0, 0};
    handle.sync_folder = (flags & SQLITE_OPEN_CREATE) != 0 && (flags & kJournals) != 0;
    if (out_flags != nullptr) *out_flags = flags;
    return SQLITE_OK;
  }

  static int remove(sqlite3_vfs* vfs, const char* name, int sync_folder) {
    SimulatedDisk& disk = disk_of(vfs);
    const Lock lock(disk.mutex_);
    if (const int error = disk.meet(DiskStep::kDelete); error != SQLITE_OK) return error;
    SimulatedFile& file = disk.file(name);
    if (!file.exists) return SQLITE_IOERR_DELETE_NOENT;
    file.remove();
    if (sync_folder != 0) disk.sync_folder();
    return SQLITE_OK;
  }

  static int access(sqlite3_vfs* vfs, const char* name, int, int* result) {
    SimulatedDisk& disk = disk_of(vfs);
    const Lock lock(disk.mutex_);
    *result = disk.file(name).exists ? 1 : 0;
    return SQLITE_OK;
  }

  static int full_path(sqlite3_vfs*, const char* name, int size, char* out) {
    sqlite3_snprintf(size, out, "%s", name);
    return SQLITE_OK;
  }
  static int randomness(sqlite3_vfs* vfs, int size, char* out) {
    return disk_of(vfs).before_->xRandomness(disk_of(vfs).before_, size, out);
  }
  /// Waiting for a lock takes no time here.
  static int sleep(sqlite3_vfs*, int microseconds) { return microseconds; }
  static int time(sqlite3_vfs* vfs, double* days) {
    return disk_of(vfs).before_->xCurrentTime(disk_of(vfs).before_, days);
  }
  static int last_error(sqlite3_vfs*, int, char*) { return 0; }

  // ---- a file

  static int close(sqlite3_file* raw) {
    Handle& handle = handle_of(raw);
    const Lock lock(handle.disk->mutex_);
    if (handle.delete_on_close) handle.file->exists = false;
    return SQLITE_OK;
  }

  static int read(sqlite3_file* raw, void* out, int size, sqlite3_int64 offset) {
    Handle& handle = handle_of(raw);
    const Lock lock(handle.disk->mutex_);
    if (const int error = handle.disk->meet(DiskStep::kRead); error != SQLITE_OK) return error;
    const SimulatedFile::Bytes& content = handle.file->content;
    const auto there = static_cast<std::int64_t>(content.size()) - offset;
    const auto n_read = std::clamp<std::int64_t>(there, 0, size);
    if (n_read > 0) std::memcpy(out, content.data() + offset, static_cast<std::size_t>(n_read));
    std::memset(static_cast<char*>(out) + n_read, 0, static_cast<std::size_t>(size - n_read));
    return n_read == size ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
  }

  static int write(sqlite3_file* raw, const void* bytes, int size, sqlite3_int64 offset) {
    Handle& handle = handle_of(raw);
    const Lock lock(handle.disk->mutex_);
    const int error = handle.disk->meet(DiskStep::kWrite);
    if (!handle.disk->has_power_) return error;
    const auto* first = static_cast<const char*>(bytes);
    const int n_written = error == SQLITE_OK ? size : size / 2;
    if (n_written > 0) handle.file->change({offset, {first, first + n_written}});
    return error;
  }

  static int truncate(sqlite3_file* raw, sqlite3_int64 size) {
    Handle& handle = handle_of(raw);
    const Lock lock(handle.disk->mutex_);
    if (const int error = handle.disk->meet(DiskStep::kTruncate); error != SQLITE_OK) return error;
    handle.file->change({size, {}});
    return SQLITE_OK;
  }

  static int sync(sqlite3_file* raw, int) {
    Handle& handle = handle_of(raw);
    const Lock lock(handle.disk->mutex_);
    if (const int error = handle.disk->meet(DiskStep::kSync); error != SQLITE_OK) {
      if (handle.disk->has_power_)
        handle.file->pending.clear();  // as Linux does it: the pages count as clean
      return error;
    }
    handle.file->sync();
    if (std::exchange(handle.sync_folder, false)) handle.disk->sync_folder();
    return SQLITE_OK;
  }

  static int size(sqlite3_file* raw, sqlite3_int64* out) {
    Handle& handle = handle_of(raw);
    const Lock lock(handle.disk->mutex_);
    if (const int error = handle.disk->meet(DiskStep::kSize); error != SQLITE_OK) return error;
    *out = static_cast<sqlite3_int64>(handle.file->content.size());
    return SQLITE_OK;
  }

  /// There is one connection; its locks are only asked for so that they can be refused.
  static int lock_file(sqlite3_file* raw, int) {
    Handle& handle = handle_of(raw);
    const Lock lock(handle.disk->mutex_);
    return handle.disk->meet(DiskStep::kLock);
  }
  static int unlock_file(sqlite3_file*, int) { return SQLITE_OK; }
  static int is_reserved(sqlite3_file*, int* result) {
    *result = 0;
    return SQLITE_OK;
  }
  static int control(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
  static int sector_size(sqlite3_file*) { return 4096; }
  static int characteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

  // ---- shared memory of the write-ahead log

  static int map_memory(sqlite3_file* raw, int region, int size, int extend, void volatile** out) {
    Handle& handle = handle_of(raw);
    const Lock lock(handle.disk->mutex_);
    *out = nullptr;
    if (const int error = handle.disk->meet(DiskStep::kSharedMemory); error != SQLITE_OK) return error;
    auto& regions = handle.file->shared_memory;
    const auto place = static_cast<std::size_t>(region);
    if (place >= regions.size() && extend == 0) return SQLITE_OK;
    while (regions.size() <= place)
      regions.push_back(std::make_unique<char[]>(static_cast<std::size_t>(size)));
    *out = regions[place].get();
    return SQLITE_OK;
  }

  static int lock_memory(sqlite3_file* raw, int offset, int n, int flags) {
    Handle& handle = handle_of(raw);
    const Lock lock(handle.disk->mutex_);
    if ((flags & SQLITE_SHM_LOCK) != 0) {
      if (const int error = handle.disk->meet(DiskStep::kLock); error != SQLITE_OK) return error;
    }
    for (int slot = offset; slot < offset + n; ++slot) {
      if (!change_lock(handle, static_cast<std::size_t>(slot), flags)) return SQLITE_BUSY;
    }
    return SQLITE_OK;
  }

  static bool change_lock(Handle& handle, std::size_t slot, int flags) {
    SimulatedFile& file = *handle.file;
    const unsigned bit = 1U << slot;
    const bool others_share = file.shared_locks[slot] > ((handle.shared & bit) != 0 ? 1 : 0);
    const bool other_excludes =
        file.exclusive_locks[slot] != nullptr && file.exclusive_locks[slot] != &handle;
    if ((flags & SQLITE_SHM_UNLOCK) != 0) {
      if ((handle.shared & bit) != 0) --file.shared_locks[slot];
      if ((handle.exclusive & bit) != 0) file.exclusive_locks[slot] = nullptr;
      handle.shared &= ~bit;
      handle.exclusive &= ~bit;
      return true;
    }
    if (other_excludes || ((flags & SQLITE_SHM_EXCLUSIVE) != 0 && others_share)) return false;
    if ((flags & SQLITE_SHM_EXCLUSIVE) != 0) {
      file.exclusive_locks[slot] = &handle;
      handle.exclusive |= bit;
    } else if ((handle.shared & bit) == 0) {
      ++file.shared_locks[slot];
      handle.shared |= bit;
    }
    return true;
  }

  static void memory_barrier(sqlite3_file* raw) { const Lock lock(handle_of(raw).disk->mutex_); }
  static int unmap_memory(sqlite3_file* raw, int remove_it) {
    Handle& handle = handle_of(raw);
    const Lock lock(handle.disk->mutex_);
    if (remove_it != 0) handle.file->shared_memory.clear();
    return SQLITE_OK;
  }

  static constexpr sqlite3_io_methods kFile = {
      .iVersion = 2,
      .xClose = close,
      .xRead = read,
      .xWrite = write,
      .xTruncate = truncate,
      .xSync = sync,
      .xFileSize = size,
      .xLock = lock_file,
      .xUnlock = unlock_file,
      .xCheckReservedLock = is_reserved,
      .xFileControl = control,
      .xSectorSize = sector_size,
      .xDeviceCharacteristics = characteristics,
      .xShmMap = map_memory,
      .xShmLock = lock_memory,
      .xShmBarrier = memory_barrier,
      .xShmUnmap = unmap_memory,
      .xFetch = nullptr,
      .xUnfetch = nullptr,
  };
};

// ---------------------------------------------------------------- the disk

SimulatedDisk::SimulatedDisk() : vfs_(std::make_unique<sqlite3_vfs>()), before_(sqlite3_vfs_find(nullptr)) {
  GAUNTLET_CHECK(before_ != nullptr && std::string_view(before_->zName) != "simulated");
  *vfs_ = {};
  vfs_->iVersion = 1;
  vfs_->szOsFile = sizeof(Handle);
  vfs_->mxPathname = 1024;
  vfs_->zName = "simulated";
  vfs_->pAppData = this;
  vfs_->xOpen = Methods::open;
  vfs_->xDelete = Methods::remove;
  vfs_->xAccess = Methods::access;
  vfs_->xFullPathname = Methods::full_path;
  vfs_->xRandomness = Methods::randomness;
  vfs_->xSleep = Methods::sleep;
  vfs_->xCurrentTime = Methods::time;
  vfs_->xGetLastError = Methods::last_error;
  sqlite3_vfs_register(vfs_.get(), 1);
}

SimulatedDisk::~SimulatedDisk() {
  sqlite3_vfs_unregister(vfs_.get());
  sqlite3_vfs_register(before_, 1);
}

SimulatedFile& SimulatedDisk::file(const std::string& name) {
  std::unique_ptr<SimulatedFile>& known = files_[name];
  if (known == nullptr) known = std::make_unique<SimulatedFile>();
  return *known;
}

void SimulatedDisk::sync_folder() {
  for (auto& [name, file] : files_) file->sync_entry();
}

int SimulatedDisk::meet(DiskStep step) {
  const std::uint64_t nth = ++counts_[static_cast<std::size_t>(step)];
  if (has_power_ && is_change(step)) {
    ++n_changes_;
    if (cut_at_ && n_changes_ >= *cut_at_) has_power_ = false;
  }
  if (!has_power_) return error_without_power(step);
  if (!fault_ || fault_->step != step || nth < fault_->at || (nth > fault_->at && !fault_->lasting))
    return SQLITE_OK;
  has_failed_ = true;
  return fault_->code;
}

std::uint64_t SimulatedDisk::count(DiskStep step) const {
  const std::lock_guard lock(mutex_);
  return counts_[static_cast<std::size_t>(step)];
}

std::uint64_t SimulatedDisk::n_changes() const {
  const std::lock_guard lock(mutex_);
  return n_changes_;
}

void SimulatedDisk::cut_power_after(std::uint64_t nth) {
  const std::lock_guard lock(mutex_);
  cut_at_ = n_changes_ + nth;
}

bool SimulatedDisk::has_power() const {
  const std::lock_guard lock(mutex_);
  return has_power_;
}

void SimulatedDisk::restore_power(RandomStream& random, Unsynced left) {
  const std::lock_guard lock(mutex_);
  for (auto& [name, file] : files_) file->lose_power(random, left);
  has_power_ = true;
  cut_at_.reset();
}

void SimulatedDisk::fail(DiskStep step, std::uint64_t nth, int code, bool lasting) {
  const std::lock_guard lock(mutex_);
  fault_ = Fault{step, counts_[static_cast<std::size_t>(step)] + nth, code, lasting};
  has_failed_ = false;
}

void SimulatedDisk::heal() {
  const std::lock_guard lock(mutex_);
  fault_.reset();
}

bool SimulatedDisk::has_failed() const {
  const std::lock_guard lock(mutex_);
  return has_failed_;
}

}  // namespace gauntlet::testing_support
