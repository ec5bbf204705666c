// Work that was done elsewhere, taken over with its numbers.
// Thread safety: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "coordinator/store/job_store.hpp"

namespace gauntlet::store {

/// A job that is done, and what its attempt left behind.
struct ImportedJob {
  JobKey key;
  std::string worker;
  std::int64_t started_ms = 0;
  std::int64_t ended_ms = 0;
  engine::AttemptOutcome outcome;
};

struct ImportedWork {
  std::vector<Submission> sweeps;  ///< together with every job and cell
  std::vector<ImportedJob> done;
};

struct ImportOutcome {
  std::uint64_t new_jobs = 0;
  std::uint64_t new_cells = 0;
  std::uint64_t done_jobs = 0;  ///< jobs that were not done here, with their numbers now
  std::uint64_t same_jobs = 0;  ///< done here too, with the same numbers
};

/// Two numbers for one thing; nothing is taken over then.
struct ImportConflict {
  std::string what;  ///< one sentence that names job or cell, and both values
};

struct ImportAnswer {
  ImportOutcome outcome;
  std::vector<ImportConflict> conflicts;  ///< not empty: nothing was written
};

}  // namespace gauntlet::store
