// What a figure of the coordinator is read beside: how long the disk takes to flush, and how many jobs a
// transaction held.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "cli/support/bench_served.hpp"
#include "core/base/json.hpp"

namespace gauntlet::cli {

/// Writes what earlier measurements left in memory, which would otherwise be written during the next one, and
/// measures fdatasync of 4 KiB over what is there already, as a commit overwrites its log:
/// figures[<name>_fdatasync_p50_us] and p99. Errors: kIo.
[[nodiscard]] Status settle_disk(const std::filesystem::path& folder, const std::string& name, Json& figures);

/// Counts the transactions of a coordinator from here on.
class CommitCount {
 public:
  /// Errors: kUnreachable.
  [[nodiscard]] static Result<CommitCount> begin(const Served& served);
  /// figures[<name>_jobs_per_commit], of so many jobs that were done since. Errors: kUnreachable.
  [[nodiscard]] Status end(const Served& served, std::int64_t n_jobs, const std::string& name,
                           Json& figures) const;

 private:
  explicit CommitCount(double before) : before_(before) {}
  double before_;
};

}  // namespace gauntlet::cli
