// The guard of a launched rank: the process that mpirun or srun starts on each machine, once for every rank.
// It connects to the agent, starts the executor on its own machine, passes frames between the two, and tells
// the agent how the executor ended and what it printed. When the agent, the launcher or the network is gone,
// it ends the executor and whatever that has started.
// Thread safety: run_rank_guard uses the calling thread.
#pragma once

#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "schemas/protocol.pb.h"
#include "worker/launch/process_group.hpp"

namespace gauntlet::worker {

/// The environment variable that carries the attempt's secret to the guards.
inline constexpr const char* kSecretVariable = "GAUNTLET_GANG_SECRET";

struct GuardOptions {
  std::string launcher;  ///< which one started it
  std::string host;      ///< of the agent
  std::string port;
  std::string node;     ///< node_identity() of the agent
  int patience_s = 20;  ///< for reaching it
  Command executor;
  std::vector<proto::EntryVersion> entries;  ///< what this program knows; all of a gang must know the same
};

/// Works until the executor has ended and the agent knows. Returns the process exit code: 0 when the
/// executor ended as it was asked to, else 1. Errors: kInvalid (not started by the launcher), kCollective
/// (the launcher's own communication), kUnreachable (the agent); nobody but the launcher's output hears of
/// these.
[[nodiscard]] Result<int> run_rank_guard(const GuardOptions& options);

}  // namespace gauntlet::worker
