// Which evaluate jobs the ranks of a gang share.
#pragma once

#include "core/spec/job_spec.hpp"

namespace gauntlet::worker {

/// Whether each rank takes some of the queries. Where not, one process does all of the job: a choice among
/// measurements, and worst cases and swaps, which look at all queries for each of several attacks.
[[nodiscard]] inline bool shares_queries(const spec::JobSpec& job) {
  if (job.kind != spec::JobKind::kEvaluate) return false;
  for (const char* other : {"select", "worst", "swap"}) {
    if (job.config.contains(other)) return false;
  }
  return true;
}

}  // namespace gauntlet::worker
