// A disk in memory under SQLite, which tells what was written from what is on the platter, and fails when
// told to: power cuts that forget or tear what was not synced, a full disk, read, write and sync errors,
// locks. Thread safety: every member may be called from any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/base/random.hpp"

struct sqlite3_vfs;

namespace gauntlet::testing_support {

struct SimulatedFile;

/// What SQLite asks of a disk.
enum class DiskStep : std::uint8_t {
  kOpen,
  kRead,
  kWrite,
  kTruncate,
  kSync,
  kSize,
  kDelete,
  kLock,
  kSharedMemory
};
inline constexpr int kDiskSteps = 9;

/// What a power cut leaves of what was not synced: any part, by sectors of 512 bytes, is kSome.
enum class Unsynced : std::uint8_t { kNothing, kSome, kAll };

class SimulatedDisk {
 public:
  /// Every database that is opened from now on, by any thread, lies on this disk; one at a time may exist.
  SimulatedDisk();
  SimulatedDisk(const SimulatedDisk&) = delete;
  SimulatedDisk& operator=(const SimulatedDisk&) = delete;
  /// Databases on it must be closed.
  ~SimulatedDisk();

  /// How often this was asked so far.
  [[nodiscard]] std::uint64_t count(DiskStep step) const;
  /// Writes, truncations, syncs and deletions so far: the moments between which a power cut makes a
  /// difference.
  [[nodiscard]] std::uint64_t n_changes() const;

  /// The `nth` change from now on, and everything after it, does not happen.
  void cut_power_after(std::uint64_t nth);
  [[nodiscard]] bool has_power() const;
  /// Power is back: what was synced is there, and `left` of the rest. Handles opened before must be closed.
  void restore_power(RandomStream& random, Unsynced left);

  /// The `nth` time from now on that this is asked, and if `lasting` every later time, SQLite gets `code`. A
  /// write that fails leaves half of it; what a failed sync should have saved is never saved, though it can
  /// be read.
  void fail(DiskStep step, std::uint64_t nth, int code, bool lasting);
  /// From now on nothing fails any more.
  void heal();
  /// Whether the fault was met.
  [[nodiscard]] bool has_failed() const;

 private:
  struct Handle;
  struct Methods;

  [[nodiscard]] int meet(DiskStep step);
  SimulatedFile& file(const std::string& name);
  void sync_folder();

  mutable std::mutex mutex_;
  std::map<std::string, std::unique_ptr<SimulatedFile>> files_;
  std::vector<std::unique_ptr<SimulatedFile>> nameless_;
  std::uint64_t counts_[kDiskSteps] = {};
  std::uint64_t n_changes_ = 0;
  std::optional<std::uint64_t> cut_at_;
  bool has_power_ = true;
  struct Fault {
    DiskStep step;
    std::uint64_t at;
    int code;
    bool lasting;
  };
  std::optional<Fault> fault_;
  bool has_failed_ = false;
  std::unique_ptr<sqlite3_vfs> vfs_;
  sqlite3_vfs* before_;
};

}  // namespace gauntlet::testing_support
