// A file on a simulated disk: what readers see, and what a power cut would leave of it. Thread safety: the
// disk's.
#pragma once

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "tests/support/simulated_disk.hpp"

namespace gauntlet::testing_support {

inline constexpr std::int64_t kSectorBytes = 512;

struct SimulatedFile {
  using Bytes = std::vector<char>;
  /// A write, or a truncation to `offset` when there are no bytes.
  struct Change {
    std::int64_t offset = 0;
    Bytes bytes;
  };

  /// What the folder on disk has under the name.
  enum class Entry : std::uint8_t { kNothing, kThis, kOlder };

  bool exists = false;
  Bytes content;                ///< as readers see it
  Bytes on_disk;                ///< what of it was synced
  std::vector<Change> pending;  ///< done to content since the last sync
  Entry entry = Entry::kNothing;
  Bytes older;  ///< the file that was deleted, while the deletion may not be on disk
  std::vector<std::unique_ptr<char[]>> shared_memory;
  std::array<int, SQLITE_SHM_NLOCK> shared_locks{};
  std::array<const void*, SQLITE_SHM_NLOCK> exclusive_locks{};  ///< the handle that has it

  static void apply(const Change& change, Bytes& bytes) {
    const auto offset = static_cast<std::size_t>(change.offset);
    if (change.bytes.empty()) {
      bytes.resize(std::min(bytes.size(), offset));
      return;
    }
    if (bytes.size() < offset + change.bytes.size()) bytes.resize(offset + change.bytes.size());
    std::copy(change.bytes.begin(), change.bytes.end(), bytes.begin() + change.offset);
  }

  void change(Change made) {
    apply(made, content);
    pending.push_back(std::move(made));
  }

  void sync() {
    for (const Change& change : pending) apply(change, on_disk);
    pending.clear();
  }

  void remove() {
    if (entry == Entry::kThis) {
      entry = Entry::kOlder;
      older = std::move(on_disk);
    }
    exists = false;
    content.clear();
    on_disk.clear();
    pending.clear();
  }

  void sync_entry() {
    entry = exists ? Entry::kThis : Entry::kNothing;
    older.clear();
  }

  /// Each sector of what was not synced is on disk or not; so is each truncation.
  void tear(RandomStream& random) {
    for (const Change& change : pending) {
      if (change.bytes.empty()) {
        if (random.below(2) == 0) apply(change, on_disk);
        continue;
      }
      const auto size = static_cast<std::int64_t>(change.bytes.size());
      for (std::int64_t begin = 0; begin < size; begin += kSectorBytes) {
        if (random.below(2) == 0) continue;
        const auto first = change.bytes.begin() + begin;
        apply({change.offset + begin, {first, first + std::min(kSectorBytes, size - begin)}}, on_disk);
      }
    }
    if (random.below(2) == 0) sync_entry();
  }

  void lose_power(RandomStream& random, Unsynced left) {
    if (left == Unsynced::kSome) tear(random);
    if (left == Unsynced::kAll) {
      sync();
      sync_entry();
    }
    if (entry == Entry::kOlder) on_disk = std::move(older);
    if (entry == Entry::kNothing) on_disk.clear();
    exists = entry != Entry::kNothing;
    content = on_disk;
    pending.clear();
    sync_entry();
    shared_memory.clear();
    shared_locks = {};
    exclusive_locks = {};
  }
};

}  // namespace gauntlet::testing_support
