// Jobs of a sweep that did not end well: those that the file at hand asks for, and those of earlier versions
// of it, which the sweep keeps.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "cli/support/progress.hpp"
#include "core/base/ids.hpp"
#include "core/spec/expand.hpp"

namespace gauntlet::cli {

struct EndedJobs {
  std::vector<JobKey> failed, blocked, cancelled;  ///< that the file asks for
  std::vector<JobKey> others;                      ///< of earlier versions, in any of these states

  [[nodiscard]] JobCounts counts() const;
};

/// Asks the database. `jobs`: what the file asks for. Errors: those of db::Connection.
[[nodiscard]] Result<EndedJobs> ended_jobs(const std::filesystem::path& database, std::uint64_t sweep_id,
                                           const spec::PlannedJobs& jobs);

/// Takes these jobs out of a status's list of failures.
void leave_out(const std::vector<JobKey>& jobs, proto::StatusReply& status);

}  // namespace gauntlet::cli
