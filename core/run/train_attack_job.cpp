#include <chrono>

#include "core/run/attack_surface.hpp"
#include "core/run/jobs.hpp"
#include "core/train/batches.hpp"
#include "core/train/checkpoint.hpp"

namespace gauntlet::run {
namespace {

Result<worker::AttemptResult> train_anew(const JobRun& run, train::FileCheckpointer& checkpointer) {
  const worker::AttemptContext& attempt = run.attempt;
  GAUNTLET_TRY(const data::PreparedSet set, open_data(run));
  GAUNTLET_TRY(const Modality modality, modality_from(run.config().value("modality", "")));
  GAUNTLET_TRY(const attacks::AttackEntry* entry, attacks::attack_registry().find(attempt.job.entry));
  if (entry->train == nullptr)
    return fail(ErrorCode::kInvalid, "attack '{}' has nothing to train", attempt.job.entry);
  GAUNTLET_TRY(const OpenSurface open, open_surface(run, set, *entry, modality));
  const auto ranked_lists = make_ranked_lists(open);

  const std::vector<std::int64_t>& rows = set.rows(data::Part::kTrain);
  attacks::AttackTraining setup;
  setup.surface = open.surface;
  if (entry->about.capabilities.black_box) setup.ranked_lists = ranked_lists.get();
  setup.images = train::stored_inputs_of(set, Modality::kImage, rows);
  setup.text = train::stored_inputs_of(set, Modality::kText, rows);
  setup.labels = open.codes.labels.cpu();  // rows are picked where the stored inputs are
  setup.seed = seed_of(run, fmt::format("train_attack/{}/{}", attempt.job.entry, name_of(modality)));
  setup.communicator = &run.communicator;
  setup.on_epoch = progress_of_epochs(run);
  setup.keep_weights = keep_weights(run);
  setup.checkpointer = &checkpointer;

  const auto started = std::chrono::steady_clock::now();
  GAUNTLET_TRY(const attacks::TrainedAttack trained,
               entry->train(run.config().value("attack", Json::object()), std::move(setup)));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  if (!run.is_main_rank()) return worker::AttemptResult{};

  GAUNTLET_TRY(artifacts::Draft draft, attempt.store.begin(attempt.key));
  GAUNTLET_CHECK_OK(train::save_tensors(draft.folder() / "attack.safetensors", trained.weights));
  const Json about = {{"n_train", rows.size()}, {"queries_used", ranked_lists->queries_used()}};
  GAUNTLET_TRY(const artifacts::Artifact artifact,
               attempt.store.publish(std::move(draft), attempt.job, attempt.key, about));
  return worker::AttemptResult{
      .rows = {reading("training_time", checkpointer.seconds_before() + seconds, "s", false),
               reading("parameters", static_cast<double>(trained.n_parameters), "count", false),
               reading("queries_used", static_cast<double>(ranked_lists->queries_used()), "count", false)},
      .curves = loss_curves(trained.curves),
      .manifest_hash = artifact.manifest_hash};
}

}  // namespace

Result<worker::AttemptResult> run_train_attack(const JobRun& run) {
  return with_checkpoints(
      run, [&](train::FileCheckpointer& checkpointer) { return train_anew(run, checkpointer); });
}

}  // namespace gauntlet::run
