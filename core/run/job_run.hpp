// What the job kinds of this box share: one attempt's inputs, opened, checked and turned into tensors.
// Thread safety: none; used from a rank's main thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/artifacts/artifact_store.hpp"
#include "core/base/result.hpp"
#include "core/collective/communicator.hpp"
#include "core/data/prepared_set.hpp"
#include "core/defenses/defense.hpp"
#include "core/models/hashing_model.hpp"
#include "core/models/training_watch.hpp"
#include "core/registry/entry.hpp"
#include "core/torch.hpp"
#include "core/train/file_checkpointer.hpp"
#include "worker/executor/executor.hpp"

namespace gauntlet::run {

/// One attempt on one rank. Everything is borrowed for the duration of the job.
struct JobRun {
  const worker::AttemptContext& attempt;
  worker::ProgressSink& progress;
  collective::Communicator& communicator;
  torch::Device device = torch::kCPU;  ///< where tensors of models, batches and codes live

  [[nodiscard]] const Json& config() const { return attempt.job.config; }
  [[nodiscard]] bool is_main_rank() const { return attempt.rank == 0; }
};

/// The artifact an input role names. Errors: kCorrupt when the job lacks the role, and those of
/// ArtifactStore::open.
[[nodiscard]] Result<artifacts::Artifact> open_input(const JobRun& run, std::string_view role,
                                                     spec::JobKind kind);
[[nodiscard]] bool has_input(const JobRun& run, std::string_view role);

/// Errors (kInvalid): a global batch of so many items leaves ranks without any; says what would fit.
[[nodiscard]] Status check_world_size(const JobRun& run, std::int64_t batch_size);

/// The prepared set of input "data".
[[nodiscard]] Result<data::PreparedSet> open_data(const JobRun& run);

/// Seed of a purpose within this job's cell and dataset; equal for every model, defense and attack of the
/// cell.
[[nodiscard]] std::uint64_t seed_of(const JobRun& run, std::string_view purpose);

/// The target model of input "model": on the run's device, eval mode, weights frozen.
struct LoadedModel {
  std::shared_ptr<models::HashingModel> model;
  models::ModelShape shape;
  defenses::TargetCopies copies;
};
/// Errors: kInvalid for a model of another version, or one that does not take the inputs of input "data".
[[nodiscard]] Result<LoadedModel> open_model(const JobRun& run);

/// The pipeline of a defense, with its trained weights from input "defense" where it trains.
[[nodiscard]] Result<std::unique_ptr<defenses::Pipeline>> open_pipeline(const JobRun& run,
                                                                        std::string_view defense,
                                                                        const Json& config,
                                                                        const LoadedModel& target,
                                                                        Modality modality);

/// Codes and labels of the clean training set, from inputs "codes_image" and "codes_text" (codes of the
/// retrieval set, of which the training set is a part).
struct TrainingCodes {
  torch::Tensor image;   ///< [N, K] float ±1; all on the run's device
  torch::Tensor text;    ///< [N, K] float ±1
  torch::Tensor labels;  ///< [N, C] float 0/1
};
[[nodiscard]] Result<TrainingCodes> open_training_codes(const JobRun& run, const data::PreparedSet& set);

/// A tensor of any supported type as a .npy file, and back. The tensor may live anywhere and have any layout.
[[nodiscard]] Status write_tensor(const std::filesystem::path& path, const torch::Tensor& tensor);
[[nodiscard]] Result<torch::Tensor> read_tensor(const std::filesystem::path& path);

/// A row that is a single reading.
[[nodiscard]] spec::ResultRow reading(std::string metric, double value, std::string unit,
                                      bool higher_is_better, std::int64_t n = 1);

/// Reports of epochs as the job's progress; of training runs that call back after each.
using EpochCallback =
    std::function<void(std::int64_t epoch, std::int64_t epochs, const models::Losses& losses, double rate)>;
[[nodiscard]] EpochCallback progress_of_epochs(const JobRun& run);

/// Where a training run that diverges leaves its last good weights: beside the attempt's log, as
/// "<attempt>.weights.safetensors". Empty on ranks other than 0 and for attempts without a log.
[[nodiscard]] models::KeepWeights keep_weights(const JobRun& run);

/// Runs a training with the checkpoints of its job, in <workdir>/checkpoints/<key>/; they go once it has
/// succeeded. `train` makes everything anew and publishes; it is called a second time, without the old
/// checkpoint, when that does not fit.
using Train = std::function<Result<worker::AttemptResult>(train::FileCheckpointer& checkpointer)>;
[[nodiscard]] Result<worker::AttemptResult> with_checkpoints(const JobRun& run, const Train& train);

/// "loss:<name>" against epochs.
[[nodiscard]] std::vector<spec::Curve> loss_curves(const std::map<std::string, std::vector<float>>& losses);

}  // namespace gauntlet::run
