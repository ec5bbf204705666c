// How a training run is picked up where an earlier attempt left it. Every loop over epochs asks for what is
// done before its first epoch, and says so after each.
#pragma once

#include <cstdint>
#include <functional>

#include "core/base/result.hpp"
#include "core/models/state.hpp"
#include "core/models/training_watch.hpp"

namespace gauntlet::models {

/// One loop over epochs; a run is a sequence of such. Epochs are counted through the whole run, from 1.
struct Stage {
  std::int64_t n_before = 0;  ///< epochs of earlier stages
  std::int64_t n_epochs = 0;  ///< of this one
  std::int64_t n_in_all = 0;  ///< of the run
  /// Names all that this stage and later ones depend on: its networks, optimisers and buffers, the curves so
  /// far. What follows from settings, seed and epoch alone need not be named.
  std::function<void(StateVisitor&)> state;
};

class Checkpointer {
 public:
  virtual ~Checkpointer() = default;
  /// Epochs of this stage that need not run again: all of them when the checkpoint is of a later stage; as
  /// many as are done when it is of this one, whose state is then put back; else 0. Every rank asks, for each
  /// stage in turn, once everything that `state` visits has been made. Errors: a checkpoint that does not fit
  /// the run, which is then of no use.
  [[nodiscard]] virtual Result<std::int64_t> resume(const Stage& stage) = 0;
  /// `epoch` of the stage, from 1, is done. Saves now and then. Errors: kInterrupted when the run is to stop
  /// here.
  [[nodiscard]] virtual Status end_epoch(const Stage& stage, std::int64_t epoch) = 0;
};

/// The same for a loop that may have no checkpointer (nullptr) and has a watch, which gets to know the
/// weights put back as good ones.
[[nodiscard]] Result<std::int64_t> resume(Checkpointer* checkpointer, const Stage& stage,
                                          TrainingWatch& watch);
[[nodiscard]] Status end_epoch(Checkpointer* checkpointer, const Stage& stage, std::int64_t epoch);

}  // namespace gauntlet::models
