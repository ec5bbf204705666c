#include "worker/agent/artifact_cache.hpp"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>

#include "core/artifacts/adopt.hpp"
#include "core/artifacts/inventory.hpp"
#include "core/artifacts/manifest.hpp"

namespace gauntlet::worker {
namespace {

namespace fs = std::filesystem;

/// Of its manifest, which nothing else writes to.
std::int64_t last_use_ns(const fs::path& folder) {
  struct ::stat about {};
  if (::stat((folder / artifacts::kManifestName).c_str(), &about) != 0) return 0;
  return std::int64_t{about.st_mtim.tv_sec} * 1'000'000'000 + about.st_mtim.tv_nsec;
}

}  // namespace

void ArtifactCache::hold(const std::vector<JobKey>& keys) {
  const std::lock_guard lock(mutex_);
  for (const JobKey& key : keys) ++held_[key];
}

void ArtifactCache::let_go(const std::vector<JobKey>& keys) {
  const std::lock_guard lock(mutex_);
  for (const JobKey& key : keys) {
    const auto found = held_.find(key);
    if (found != held_.end() && --found->second == 0) held_.erase(found);
  }
}

void ArtifactCache::used(const JobKey& key, std::uint64_t n_bytes) {
  const auto found = artifacts::find_manifest(artifacts::ArtifactStore(workdir_), key);
  if (found) ::utimensat(AT_FDCWD, (found->folder / artifacts::kManifestName).c_str(), nullptr, 0);
  const std::lock_guard lock(mutex_);
  if (n_bytes_) *n_bytes_ += n_bytes;
}

void ArtifactCache::shrink() {
  const std::lock_guard lock(mutex_);  // nobody holds one while it is being removed
  if (limit_bytes_ == 0 || (n_bytes_ && *n_bytes_ <= limit_bytes_)) return;
  const auto inventory = artifacts::take_inventory(workdir_);
  if (!inventory) return;
  struct Candidate {
    std::int64_t used_ns;
    std::uint64_t n_bytes;
    const artifacts::FoundArtifact* artifact;
  };
  std::vector<Candidate> candidates;
  std::uint64_t n_bytes = 0;
  for (const artifacts::FoundArtifact& artifact : inventory->artifacts) {
    candidates.push_back({last_use_ns(artifact.folder), artifacts::disk_bytes(artifact.folder), &artifact});
    n_bytes += candidates.back().n_bytes;
  }
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.used_ns < b.used_ns; });
  const artifacts::ArtifactStore store(workdir_);
  for (const Candidate& candidate : candidates) {
    if (n_bytes <= limit_bytes_) break;
    if (held_.contains(candidate.artifact->key)) continue;
    if (!store.remove(candidate.artifact->kind, candidate.artifact->key)) continue;
    n_bytes -= candidate.n_bytes;
    spdlog::debug("artifact {} goes: not used for longest", candidate.artifact->key.brief());
  }
  n_bytes_ = n_bytes;
}

ArtifactCache::Turn ArtifactCache::turn_to_fetch(const JobKey& key, std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  if (!turn_ended_.wait_for(lock, patience, [&] { return !fetched_now_.contains(key); })) return nullptr;
  fetched_now_.insert(key);
  return Turn(this, EndTurn{key});
}

void ArtifactCache::end_turn(const JobKey& key) {
  {
    const std::lock_guard lock(mutex_);
    fetched_now_.erase(key);
  }
  turn_ended_.notify_all();
}

}  // namespace gauntlet::worker
