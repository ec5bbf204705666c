// `gauntlet run --alloc`: coordinator, agents and the run itself inside one allocation of a batch system, for
// those who may not leave a process on a login node.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "coordinator/alloc/rows.hpp"
#include "core/base/result.hpp"

namespace gauntlet::cli {

struct AllocRun {
  std::filesystem::path workdir;  ///< on a file system that the nodes share
  alloc::QueueSpec allocation;
  std::vector<std::string> run;  ///< the arguments of `gauntlet run` inside: the spec and what goes with it
  std::string again;             ///< the command that goes on, for messages
};

/// Hands in one job, shows its progress, prints what the run inside prints; its exit code. Interrupted, it
/// leaves the job alone. Errors: kRefused (a coordinator serves the work folder already), kInvalid (the batch
/// system does not want the job; its words), kTimedOut (the allocation ended before the run did),
/// kProcessDied, kInterrupted, kIo.
[[nodiscard]] Result<int> run_in_allocation(const AllocRun& run);

}  // namespace gauntlet::cli
