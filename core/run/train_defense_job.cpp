#include <chrono>

#include "core/run/jobs.hpp"
#include "core/train/batches.hpp"
#include "core/train/checkpoint.hpp"

namespace gauntlet::run {
namespace {

/// The first n training rows a defense works on; its field `n_train`, 0 = all.
std::vector<std::int64_t> training_rows(const data::PreparedSet& set, const Json& config) {
  std::vector<std::int64_t> rows = set.rows(data::Part::kTrain);
  const auto limit = static_cast<std::size_t>(config.value("n_train", std::int64_t{0}));
  if (limit > 0 && limit < rows.size()) rows.resize(limit);
  return rows;
}

/// Adds the crafted twins of input "crafted" to the set-up.
Status add_crafted(const JobRun& run, std::span<const std::int64_t> rows, defenses::DefenseTraining& setup) {
  GAUNTLET_TRY(const artifacts::Artifact artifact, open_input(run, "crafted", spec::JobKind::kCraft));
  GAUNTLET_TRY(setup.crafted, read_tensor(artifact.file("perturbations.npy")));
  GAUNTLET_TRY(const torch::Tensor crafted_rows, read_tensor(artifact.file("rows.npy")));
  setup.crafted_scale = artifact.about.value("scale", 0.0);
  const bool same = crafted_rows.numel() == static_cast<std::int64_t>(rows.size()) &&
                    std::equal(rows.begin(), rows.end(), crafted_rows.data_ptr<std::int64_t>());
  if (same) return {};
  return fail(ErrorCode::kCorrupt, "{} holds perturbations of other training rows than the {} asked for",
              artifact.folder.string(), rows.size());
}

Result<worker::AttemptResult> train_anew(const JobRun& run, train::FileCheckpointer& checkpointer) {
  const worker::AttemptContext& attempt = run.attempt;
  GAUNTLET_TRY(const data::PreparedSet set, open_data(run));
  GAUNTLET_TRY(const LoadedModel target, open_model(run));
  GAUNTLET_TRY(const TrainingCodes codes, open_training_codes(run, set));
  GAUNTLET_TRY(const defenses::DefenseEntry* entry, defenses::defense_registry().find(attempt.job.entry));
  const bool joint = entry->about.capabilities.joint;
  const std::string side = run.config().value("modality", "");
  if (entry->train == nullptr)
    return fail(ErrorCode::kInvalid, "defense '{}' has nothing to train", attempt.job.entry);

  const Json config = run.config().value("defense", Json::object());
  const std::vector<std::int64_t> rows = training_rows(set, config);
  defenses::DefenseTraining setup;
  if (!joint) {
    GAUNTLET_TRY(setup.modality, modality_from(side));
  }
  setup.model = target.model;
  setup.shape = target.shape;
  if (joint) {
    setup.images = train::stored_inputs_of(set, Modality::kImage, rows);
    setup.text = train::stored_inputs_of(set, Modality::kText, rows);
  } else {
    setup.inputs = train::stored_inputs_of(set, setup.modality, rows);
  }
  setup.target = target.copies;
  setup.text_low = set.text_is_binary() ? 0 : -1;
  setup.labels = train::labels_of(set, rows);
  setup.train_labels = codes.labels;
  setup.train_codes_image = codes.image;
  setup.train_codes_text = codes.text;
  setup.seed = seed_of(run, fmt::format("defense/{}/{}", attempt.job.entry, side));
  setup.communicator = &run.communicator;
  setup.on_epoch = progress_of_epochs(run);
  setup.keep_weights = keep_weights(run);
  setup.checkpointer = &checkpointer;
  if (has_input(run, "crafted")) GAUNTLET_CHECK_OK(add_crafted(run, rows, setup));

  const auto started = std::chrono::steady_clock::now();
  GAUNTLET_TRY(const defenses::TrainedDefense trained, entry->train(config, std::move(setup)));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  if (!run.is_main_rank()) return worker::AttemptResult{};

  GAUNTLET_TRY(artifacts::Draft draft, attempt.store.begin(attempt.key));
  GAUNTLET_CHECK_OK(train::save_tensors(draft.folder() / "defense.safetensors", trained.weights));
  const Json about = {{"n_train", rows.size()}, {"shape", models::to_json(target.shape)}};
  GAUNTLET_TRY(const artifacts::Artifact artifact,
               attempt.store.publish(std::move(draft), attempt.job, attempt.key, about));
  return worker::AttemptResult{
      .rows = {reading("training_time", checkpointer.seconds_before() + seconds, "s", false),
               reading("parameters", static_cast<double>(trained.n_parameters), "count", false)},
      .curves = loss_curves(trained.curves),
      .manifest_hash = artifact.manifest_hash};
}

}  // namespace

Result<worker::AttemptResult> run_train_defense(const JobRun& run) {
  return with_checkpoints(
      run, [&](train::FileCheckpointer& checkpointer) { return train_anew(run, checkpointer); });
}

}  // namespace gauntlet::run
