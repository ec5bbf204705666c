#include "core/models/backbone.hpp"
#include "core/run/image_features.hpp"
#include "core/run/jobs.hpp"
#include "core/train/batches.hpp"
#include "core/train/checkpoint.hpp"
#include "core/train/device_batches.hpp"
#include "core/train/seeding.hpp"
#include "core/train/trainer.hpp"

namespace gauntlet::run {
namespace {

std::int64_t n_trainable(const models::HashingModel& model) {
  std::int64_t n = 0;
  for (const torch::Tensor& parameter : models::trainable_parameters(model)) n += parameter.numel();
  return n;
}

/// A model that comes trained is kept as a checkpoint, so that everything else finds it like any other.
Result<worker::AttemptResult> take_over(const JobRun& run, const models::ModelEntry& entry,
                                        const Json& located, const models::ModelShape& shape) {
  GAUNTLET_TRY(const std::shared_ptr<models::HashingModel> model,
               entry.make(located, shape, &run.communicator));
  if (!run.is_main_rank()) return worker::AttemptResult{};
  const worker::AttemptContext& attempt = run.attempt;
  GAUNTLET_TRY(artifacts::Draft draft, attempt.store.begin(attempt.key));
  GAUNTLET_CHECK_OK(train::save_module(draft.folder() / "model.safetensors", *model));
  const Json about = {{"shape", models::to_json(shape)}, {"n_steps", 0}, {"n_skipped", 0}};
  GAUNTLET_TRY(const artifacts::Artifact artifact,
               attempt.store.publish(std::move(draft), attempt.job, attempt.key, about));
  return worker::AttemptResult{.rows = {reading("training_time", 0, "s", false)},
                               .curves = {},
                               .manifest_hash = artifact.manifest_hash};
}

Result<worker::AttemptResult> train_anew(const JobRun& run, train::FileCheckpointer& checkpointer) {
  const worker::AttemptContext& attempt = run.attempt;
  GAUNTLET_TRY(const data::PreparedSet set, open_data(run));
  GAUNTLET_TRY(const models::ModelEntry* entry, models::model_registry().find(attempt.job.entry));
  const Json config = run.config().value("model", Json::object());
  const models::ModelShape shape = train::shape_for(set, run.config().value("bits", std::int64_t{0}));

  Json located = config;
  located.update(attempt.job.locations);
  if (entry->make_training == nullptr) return take_over(run, *entry, located, shape);
  train::seed_weights(seed_of(run, "weights"));
  GAUNTLET_TRY(const std::shared_ptr<models::HashingModel> model,
               entry->make(config, shape, &run.communicator));
  GAUNTLET_CHECK_OK(models::load_pretrained(*model, located, attempt.job.entry));
  model->to(run.device);
  models::TrainingSetup setup{.labels = train::labels_of(set, set.rows(data::Part::kTrain)).to(run.device),
                              .seed = seed_of(run, "training"),
                              .communicator = &run.communicator};
  GAUNTLET_TRY(const auto training, entry->make_training(located, model, setup));
  GAUNTLET_TRY(const ImageFeatures features, open_features(run, set));
  const auto batches =
      train::make_device_batch_source(set,
                                      {.batch_size = training->batch_size(),
                                       .keeps_partial_batch = training->keeps_partial_batch(),
                                       .seed = seed_of(run, "order"),
                                       .rank = attempt.rank,
                                       .world_size = attempt.world,
                                       .image_features = features.values},
                                      run.device);
  // A batch is never larger than the training set.
  GAUNTLET_CHECK_OK(check_world_size(run, std::min(training->batch_size(), batches->n_pairs())));
  const auto on_epoch = [&](const train::EpochReport& report) {
    run.progress.update({.epoch = report.epoch,
                         .epochs = report.n_epochs,
                         .fraction = static_cast<double>(report.epoch) / static_cast<double>(report.n_epochs),
                         .rate = report.pairs_per_s,
                         .losses = report.losses,
                         .phase = "train"});
  };
  models::TrainingWatch watch({.name = attempt.job.entry,
                               .weights = [&] { return models::state_of(*model); },
                               .keep = keep_weights(run),
                               .communicator = &run.communicator});
  GAUNTLET_TRY(const train::TrainLog log,
               train::train_model(*training, *batches, watch, run.communicator, on_epoch, &checkpointer));
  if (!run.is_main_rank()) return worker::AttemptResult{};

  GAUNTLET_TRY(artifacts::Draft draft, attempt.store.begin(attempt.key));
  GAUNTLET_CHECK_OK(train::save_module(draft.folder() / "model.safetensors", *model));
  if (batches->n_skipped() > 0) {
    fmt::print("{} of {} training items have no label and are left out\n", batches->n_skipped(),
               batches->n_skipped() + batches->n_pairs());
  }
  const Json about = {
      {"shape", models::to_json(shape)}, {"n_steps", log.n_steps}, {"n_skipped", batches->n_skipped()}};
  GAUNTLET_TRY(const artifacts::Artifact artifact,
               attempt.store.publish(std::move(draft), attempt.job, attempt.key, about));
  return worker::AttemptResult{
      .rows = {reading("training_time", checkpointer.seconds_before() + log.seconds, "s", false),
               reading("parameters", static_cast<double>(n_trainable(*model)), "count", false),
               reading("unlabelled_items", static_cast<double>(batches->n_skipped()), "count", false)},
      .curves = loss_curves(log.curves),
      .manifest_hash = artifact.manifest_hash};
}

}  // namespace

Result<worker::AttemptResult> run_train_model(const JobRun& run) {
  return with_checkpoints(
      run, [&](train::FileCheckpointer& checkpointer) { return train_anew(run, checkpointer); });
}

}  // namespace gauntlet::run
