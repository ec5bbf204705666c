// A coordinator of a benchmark's own, on a folder that goes with the benchmark.
// Thread safety: one thread at a time.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "cli/support/child_process.hpp"
#include "coordinator/client/client.hpp"
#include "core/base/result.hpp"

namespace gauntlet::cli {

/// A folder that goes with its owner.
class ScratchFolder {
 public:
  [[nodiscard]] static Result<ScratchFolder> make(const std::filesystem::path& parent);
  ScratchFolder(ScratchFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ScratchFolder& operator=(ScratchFolder&&) = delete;
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder();
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  explicit ScratchFolder(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

/// A coordinator of its own process on a work folder.
class Served {
 public:
  /// Returns once it answers; it serves its metrics too. `options` go to `gauntlet coordinator`. Errors:
  /// kInternal (it ended; its last words), kTimedOut.
  [[nodiscard]] static Result<Served> start(const std::filesystem::path& workdir,
                                            const std::vector<std::string>& options = {});
  [[nodiscard]] pid_t pid() const { return child_.pid(); }
  [[nodiscard]] const client::Endpoint& endpoint() const { return endpoint_; }
  [[nodiscard]] const std::filesystem::path& workdir() const { return workdir_; }
  void stop();
  void kill() { child_.kill(); }

 private:
  Served(ChildProcess child, std::filesystem::path workdir, client::Endpoint endpoint)
      : child_(std::move(child)), workdir_(std::move(workdir)), endpoint_(std::move(endpoint)) {}

  ChildProcess child_;
  std::filesystem::path workdir_;
  client::Endpoint endpoint_;
};

/// Submits a sweep of so many noop jobs; the seconds until the whole of it is on disk.
[[nodiscard]] Result<double> submit_noops(const Served& served, const std::filesystem::path& folder,
                                          const std::string& name, std::int64_t n_jobs);

[[nodiscard]] double seconds_since(std::chrono::steady_clock::time_point start);

/// `share` from 0 (least) to 1 (greatest) of values, of which there must be some.
[[nodiscard]] double percentile(std::vector<double> values, double share);

}  // namespace gauntlet::cli
