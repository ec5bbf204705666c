// A worker's side of moving artifacts: pushes one to the coordinator, or fetches one from it, over several
// connections at once. What a lost connection or a coordinator that restarts interrupts is gone on with, as
// long as it takes; chunks that have arrived do not travel again. Memory: kWindow + 1 chunks per connection.
// Thread safety: any thread; blocks until it is over.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>

#include "coordinator/client/client.hpp"
#include "core/base/ids.hpp"
#include "core/base/result.hpp"

namespace gauntlet::worker {

struct Route {
  /// Asked before every connection.
  std::function<Result<client::Endpoint>()> find;
  int n_streams = 4;                                                 ///< connections of one move
  const std::atomic<bool>* cancelled = nullptr;                      ///< set: give up soon, with kInterrupted
  std::function<void(double fraction)> on_progress = [](double) {};  ///< from any thread
};

/// Chunks of one connection that have no answer yet.
inline constexpr int kWindow = 2;

/// Returns the SHA-256 of the manifest that the coordinator has for the job now, hexadecimal: another one
/// where it had the artifact already. It is whole and on disk there. `folder` holds manifest.json beside the
/// files. Errors: kInterrupted; the coordinator's: kNoSpace, kIo, kCorrupt, kInvalid, kRefused; kNotFound,
/// kCorrupt for the folder.
[[nodiscard]] Result<std::string> push_artifact(const Route& route, const std::filesystem::path& folder,
                                                bool is_checkpoint = false);

/// Into the work folder, as an artifact (or a checkpoint) of its own; nothing is fetched where the same one
/// is there already. Returns the SHA-256 of its manifest. Errors: kNotFound, kCorrupt (not there, or damaged
/// there), kNoSpace, kIo, kInterrupted, kRefused.
[[nodiscard]] Result<std::string> fetch_artifact(const Route& route, const std::filesystem::path& workdir,
                                                 const JobKey& key, bool is_checkpoint = false);

}  // namespace gauntlet::worker
