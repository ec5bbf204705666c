// The training loop: epochs of steps, the watch for divergence, the loss curves. Knows no model by name.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/collective/communicator.hpp"
#include "core/models/checkpointer.hpp"
#include "core/models/hashing_model.hpp"
#include "core/models/training_watch.hpp"
#include "core/train/batches.hpp"

namespace gauntlet::train {

struct EpochReport {
  std::int64_t epoch = 0;  ///< from 1
  std::int64_t n_epochs = 0;
  models::Losses losses;   ///< means over the epoch's steps
  double pairs_per_s = 0;  ///< of all ranks together
};

struct TrainLog {
  models::Curves curves;
  std::int64_t n_steps = 0;
  double seconds = 0;  ///< of this attempt
};

/// Runs all epochs of `training`, or those that `checkpointer` says are left. Every rank sees the same
/// losses, so all stop at the same step. `on_epoch` may be empty, `checkpointer` null. Errors: kInvalid when
/// fewer than two training items have a label, with the numbers; kDiverged as `watch` says it; those of the
/// checkpointer.
[[nodiscard]] Result<TrainLog> train_model(models::ModelTraining& training, BatchSource& batches,
                                           models::TrainingWatch& watch,
                                           collective::Communicator& communicator,
                                           const std::function<void(const EpochReport&)>& on_epoch,
                                           models::Checkpointer* checkpointer = nullptr);

}  // namespace gauntlet::train
