// Artifacts of a work folder that can be fetched again: those used longest ago go when there are too many.
// Thread safety: any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "core/base/ids.hpp"

namespace gauntlet::worker {

class ArtifactCache {
 public:
  /// `limit_mb`: MiB they may occupy; 0 = any number.
  ArtifactCache(std::filesystem::path workdir, std::int64_t limit_mb)
      : workdir_(std::move(workdir)), limit_bytes_(static_cast<std::uint64_t>(limit_mb) << 20) {}

  /// Somebody is about to use them; they stay until they are let go as often.
  void hold(const std::vector<JobKey>& keys);
  void let_go(const std::vector<JobKey>& keys);
  /// It was used now; `n_bytes` of it are new here.
  void used(const JobKey& key, std::uint64_t n_bytes);
  /// Removes those used longest ago and held by nobody, until the rest fits.
  void shrink();
  /// Ends the caller's turn. The cache must outlive it.
  struct EndTurn {
    void operator()(ArtifactCache* cache) const { cache->end_turn(key); }
    JobKey key;
  };
  using Turn = std::unique_ptr<ArtifactCache, EndTurn>;
  /// One at a time may fetch an artifact: the caller, while this lives. Waits for at most `patience`; null
  /// when somebody else is still at it.
  [[nodiscard]] Turn turn_to_fetch(const JobKey& key, std::chrono::milliseconds patience);

 private:
  void end_turn(const JobKey& key);

  std::filesystem::path workdir_;
  std::uint64_t limit_bytes_;
  std::mutex mutex_;
  std::map<JobKey, std::size_t> held_;
  std::set<JobKey> fetched_now_;
  std::condition_variable turn_ended_;
  std::optional<std::uint64_t> n_bytes_;  ///< about; nothing before the first look
};

}  // namespace gauntlet::worker
