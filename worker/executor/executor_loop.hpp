// An executor that has its next attempts at hand: what light executors are.
// Thread safety: as executor.hpp.
#pragma once

#include "worker/executor/executor.hpp"

namespace gauntlet::worker {

/// As run_executor, with an AttemptBoard that the agent shares over the descriptor `board`. Attempts it is
/// told of wait until those before them are over. One that is not on the board any more when its turn comes
/// is passed over without an answer. Answers may wait for a few milliseconds while there is more to do.
[[nodiscard]] int run_executor(int fd, int board, JobRunner& runner);

/// What a runner may ask its progress sink to be: one that is told when an attempt takes longer than a
/// moment, so that answers to those before it wait no longer.
class PatientSink : public ProgressSink {
 public:
  /// To be called when it has run for kAnswerPause (wire.hpp); any thread.
  virtual void lasts() = 0;
};

}  // namespace gauntlet::worker
