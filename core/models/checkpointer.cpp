#include "core/models/checkpointer.hpp"

namespace gauntlet::models {

Result<std::int64_t> resume(Checkpointer* checkpointer, const Stage& stage, TrainingWatch& watch) {
  if (checkpointer == nullptr) return 0;
  GAUNTLET_TRY(const std::int64_t n_done, checkpointer->resume(stage));
  if (n_done > 0) GAUNTLET_CHECK_OK(watch.end_epoch({.epoch = stage.n_before + n_done}));
  return n_done;
}

Status end_epoch(Checkpointer* checkpointer, const Stage& stage, std::int64_t epoch) {
  if (checkpointer == nullptr) return {};
  return checkpointer->end_epoch(stage, epoch);
}

}  // namespace gauntlet::models
