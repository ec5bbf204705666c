#include "core/train/trainer.hpp"

#include <chrono>

namespace gauntlet::train {
namespace {

using SteadyClock = std::chrono::steady_clock;

double seconds_since(SteadyClock::time_point start) {
  return std::chrono::duration<double>(SteadyClock::now() - start).count();
}

/// Batch normalisation and every pairwise loss need two pairs.
constexpr std::int64_t kLeastPairs = 2;

Status check_pairs(const BatchSource& batches) {
  if (batches.n_pairs() >= kLeastPairs) return {};
  return fail(
      ErrorCode::kInvalid, "{} of {} training items has a label; training needs at least {} that have",
      batches.n_pairs() == 0 ? "none" : "only 1", batches.n_pairs() + batches.n_skipped(), kLeastPairs);
}

}  // namespace

Result<TrainLog> train_model(models::ModelTraining& training, BatchSource& batches,
                             models::TrainingWatch& watch, collective::Communicator& communicator,
                             const std::function<void(const EpochReport&)>& on_epoch,
                             models::Checkpointer* checkpointer) {
  GAUNTLET_CHECK_OK(check_pairs(batches));
  const SteadyClock::time_point start = SteadyClock::now();
  TrainLog log;
  training.begin(training.n_epochs() * batches.n_steps_per_epoch());
  const models::Stage stage{.n_epochs = training.n_epochs(),
                            .n_in_all = training.n_epochs(),
                            .state = [&](models::StateVisitor& visitor) {
                              training.visit_state(visitor);
                              visitor.curves("curves", log.curves);
                              visitor.number("n_steps", log.n_steps);
                            }};
  GAUNTLET_TRY(const std::int64_t n_done, models::resume(checkpointer, stage, watch));
  batches.start_at(n_done);
  for (std::int64_t epoch = n_done + 1; epoch <= training.n_epochs(); ++epoch) {
    const SteadyClock::time_point epoch_start = SteadyClock::now();
    models::Losses sums;
    torch::Tensor n_pairs = torch::zeros({1}, torch::kInt64);
    std::int64_t step = 0;
    while (const std::optional<models::TrainingBatch> batch = batches.next()) {
      const models::Losses losses = training.step(*batch);
      ++step;
      GAUNTLET_CHECK_OK(watch.check(losses, {epoch, step, training.learning_rates()}));
      for (const auto& [name, value] : losses) sums[name] += value;
      n_pairs += batch->rows.size(0);
    }
    const models::Rates rates = training.learning_rates();
    training.end_epoch();
    GAUNTLET_CHECK_OK(watch.end_epoch({.epoch = epoch, .rates = rates}));
    communicator.all_reduce_sum_(n_pairs);
    for (auto& [name, sum] : sums) {
      sum /= static_cast<double>(step);
      log.curves[name].push_back(static_cast<float>(sum));
    }
    log.n_steps += step;
    const double rate = static_cast<double>(n_pairs.item<std::int64_t>()) / seconds_since(epoch_start);
    if (on_epoch) on_epoch({epoch, training.n_epochs(), std::move(sums), rate});
    GAUNTLET_CHECK_OK(models::end_epoch(checkpointer, stage, epoch));
  }
  log.seconds = seconds_since(start);
  return log;
}

}  // namespace gauntlet::train
