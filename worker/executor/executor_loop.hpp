// The loop of an executor that has its next attempts in hand: what light executors are.
// Thread safety: as executor.hpp.
#pragma once

#include "worker/executor/executor.hpp"

namespace gauntlet::worker {

/// What the agent gives to such an executor.
struct ExecutorDescriptors {
  int socket = -1;  ///< frames travel over it
  int board = -1;   ///< an AttemptBoard (attempt_board.hpp); the executor's own from now on
};

/// As run_executor of executor.hpp. Attempts it is told of wait until those before them are over. One that is
/// not on the board any more when its turn comes is passed over without an answer.
[[nodiscard]] int run_executor(ExecutorDescriptors descriptors, JobRunner& runner);

}  // namespace gauntlet::worker
