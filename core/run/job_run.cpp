#include "core/run/job_run.hpp"

#include <cstring>
#include <numeric>
#include <unordered_map>

#include "core/artifacts/stand_in.hpp"
#include "core/base/random.hpp"
#include "core/base/text.hpp"
#include "core/io/npy.hpp"
#include "core/models/weights.hpp"
#include "core/train/batches.hpp"
#include "core/train/checkpoint.hpp"
#include "core/train/tensor_types.hpp"

namespace gauntlet::run {
namespace {

/// ±1 codes of the given dataset rows, out of an artifact that holds a superset of them.
Result<torch::Tensor> codes_of_rows(const artifacts::Artifact& artifact, std::span<const std::int64_t> rows) {
  GAUNTLET_TRY(const torch::Tensor packed, read_tensor(artifact.file("codes.npy")));
  GAUNTLET_TRY(const torch::Tensor held_rows, read_tensor(artifact.file("rows.npy")));
  const auto bits = artifact.about.value("bits", std::int64_t{0});
  if (packed.dim() != 2 || bits < 1 || packed.size(1) != (bits + 7) / 8 ||
      held_rows.numel() != packed.size(0)) {
    return fail(ErrorCode::kCorrupt, "{} does not hold codes of {} bits", artifact.folder.string(), bits);
  }
  std::unordered_map<std::int64_t, std::int64_t> position;
  const auto* held = held_rows.data_ptr<std::int64_t>();
  for (std::int64_t at = 0; at < held_rows.numel(); ++at) position.emplace(held[at], at);

  torch::Tensor codes = torch::empty({static_cast<std::int64_t>(rows.size()), bits}, torch::kFloat32);
  float* code = codes.data_ptr<float>();
  const auto* bytes = packed.data_ptr<std::uint8_t>();
  for (const std::int64_t row : rows) {
    const auto found = position.find(row);
    if (found == position.end()) {
      return fail(ErrorCode::kCorrupt, "{} holds no code of training row {}", artifact.folder.string(), row);
    }
    const std::uint8_t* item = bytes + found->second * packed.size(1);
    for (std::int64_t bit = 0; bit < bits; ++bit)
      *code++ = (item[bit / 8] >> (bit % 8) & 1) != 0 ? 1.0F : -1.0F;
  }
  return codes;
}

defenses::TargetCopies copies_of(const models::ModelEntry& entry, const Json& config,
                                 const LoadedModel& loaded, const JobRun& run) {
  defenses::TargetCopies copies;
  copies.copy = [&entry, config, model = loaded.model, shape = loaded.shape, communicator = &run.communicator,
                 device = run.device]() -> Result<std::shared_ptr<models::HashingModel>> {
    GAUNTLET_TRY(std::shared_ptr<models::HashingModel> copy, entry.make(config, shape, communicator));
    GAUNTLET_CHECK_OK(models::restore(*copy, models::state_of(*model)));
    copy->to(device);
    copy->eval();
    return copy;
  };
  copies.own_training =
      [&entry, config](std::shared_ptr<models::HashingModel> copy,
                       const models::TrainingSetup& setup) -> Result<std::unique_ptr<models::ModelTraining>> {
    if (entry.make_training == nullptr) {
      return fail(ErrorCode::kInvalid,
                  "target model '{}' comes trained and is not trained on, as this defense asks",
                  entry.about.name);
    }
    return entry.make_training(config, std::move(copy), setup);
  };
  return copies;
}

}  // namespace

Result<artifacts::Artifact> open_input(const JobRun& run, std::string_view role, spec::JobKind kind) {
  const spec::JobInput* input = run.attempt.job.find_input(role);
  if (input == nullptr) return fail(ErrorCode::kCorrupt, "the job has no input '{}'", role);
  return artifacts::open_made(run.attempt.store, kind, input->key);
}

bool has_input(const JobRun& run, std::string_view role) {
  return run.attempt.job.find_input(role) != nullptr;
}

Status check_world_size(const JobRun& run, std::int64_t batch_size) {
  const int world = run.attempt.world;
  if (batch_size >= world || batch_size < 1) return {};
  return fail(
      ErrorCode::kInvalid,
      "{}: a batch of {} cannot be split over {} ranks; allowed: at most {}, or batch_size at least {}",
      run.attempt.job.entry, count_of(static_cast<std::size_t>(batch_size), "pair"), world,
      count_of(static_cast<std::size_t>(batch_size), "rank"), world);
}

Result<data::PreparedSet> open_data(const JobRun& run) {
  GAUNTLET_TRY(const artifacts::Artifact artifact, open_input(run, "data", spec::JobKind::kPrepare));
  return data::PreparedSet::open(artifact.folder);
}

std::uint64_t seed_of(const JobRun& run, std::string_view purpose) {
  const spec::JobInput* data = run.attempt.job.find_input("data");
  return purpose_seed(run.attempt.job.seed, data == nullptr ? "" : data->key.hex(), purpose);
}

Result<LoadedModel> open_model(const JobRun& run) {
  GAUNTLET_TRY(const artifacts::Artifact artifact, open_input(run, "model", spec::JobKind::kTrainModel));
  GAUNTLET_TRY(const models::ModelEntry* entry, models::model_registry().find(artifact.job.entry));
  if (entry->about.version != artifact.job.version) {
    return fail(ErrorCode::kInvalid, "{} was trained by {} version {}; this program has version {}",
                artifact.folder.string(), artifact.job.entry, artifact.job.version, entry->about.version);
  }
  LoadedModel loaded;
  GAUNTLET_TRY(loaded.shape, models::shape_from_json(artifact.about.value("shape", Json())));
  GAUNTLET_TRY(const data::PreparedSet set, open_data(run));
  GAUNTLET_CHECK_OK(
      models::check_inputs(loaded.shape, train::shape_for(set, loaded.shape.code_bits),
                           fmt::format("the {} model of {}", artifact.job.entry, artifact.folder.string())));
  const Json config = artifacts::options_of(artifact, "model");
  GAUNTLET_TRY(loaded.model, entry->make(config, loaded.shape, &run.communicator));
  GAUNTLET_CHECK_OK(train::load_module(artifact.file("model.safetensors"), *loaded.model));
  loaded.model->to(run.device);
  loaded.model->eval();
  for (torch::Tensor& parameter : loaded.model->parameters()) parameter.requires_grad_(false);
  loaded.copies = copies_of(*entry, config, loaded, run);
  return loaded;
}

Result<std::unique_ptr<defenses::Pipeline>> open_pipeline(const JobRun& run, std::string_view defense,
                                                          const Json& config, const LoadedModel& target,
                                                          Modality modality) {
  GAUNTLET_TRY(const defenses::DefenseEntry* entry, defenses::defense_registry().find(defense));
  defenses::PipelineParts parts{.model = target.model,
                                .shape = target.shape,
                                .modality = modality,
                                .weights = {},
                                .target = target.copies};
  GAUNTLET_TRY(const data::PreparedSet set, open_data(run));
  parts.text_low = set.text_is_binary() ? 0 : -1;
  const bool trains = entry->about.capabilities.trains;
  if (!trains && !has_input(run, "defense")) return entry->make(config, std::move(parts));
  GAUNTLET_TRY(const artifacts::Artifact made, open_input(run, "defense", spec::JobKind::kTrainDefense));
  if (trains) {
    GAUNTLET_TRY(parts.weights, train::load_tensors(made.file("defense.safetensors")));
  }
  return entry->make(artifacts::is_chosen(made) ? artifacts::options_of(made, "defense") : config,
                     std::move(parts));
}

Result<TrainingCodes> open_training_codes(const JobRun& run, const data::PreparedSet& set) {
  const std::vector<std::int64_t>& rows = set.rows(data::Part::kTrain);
  TrainingCodes codes;
  GAUNTLET_TRY(const artifacts::Artifact image, open_input(run, "codes_image", spec::JobKind::kEncode));
  GAUNTLET_TRY(const artifacts::Artifact text, open_input(run, "codes_text", spec::JobKind::kEncode));
  GAUNTLET_TRY(const torch::Tensor image_codes, codes_of_rows(image, rows));
  GAUNTLET_TRY(const torch::Tensor text_codes, codes_of_rows(text, rows));
  codes.image = image_codes.to(run.device);
  codes.text = text_codes.to(run.device);
  codes.labels = train::labels_of(set, rows).to(run.device);
  return codes;
}

Status write_tensor(const std::filesystem::path& path, const torch::Tensor& tensor) {
  const torch::Tensor plain = tensor.detach().to(torch::kCPU).contiguous();
  const std::vector<std::int64_t> shape = plain.sizes().vec();
  const std::span bytes(static_cast<const std::byte*>(plain.const_data_ptr()), plain.nbytes());
  if (const auto dtype = train::file_type_of(plain.scalar_type())) {
    return io::write_npy(path, *dtype, shape, bytes);
  }
  return fail(ErrorCode::kInternal, "tensors of {} are not written to .npy files",
              c10::toString(plain.scalar_type()));
}

Result<torch::Tensor> read_tensor(const std::filesystem::path& path) {
  GAUNTLET_TRY(const io::NpyArray array, io::read_npy(path));
  const auto type = train::torch_type_of(array.dtype);
  if (!type) {
    return fail(ErrorCode::kInvalid, "{} holds {}, which is not read as a tensor", path.string(),
                io::name_of(array.dtype));
  }
  torch::Tensor tensor = torch::empty(array.shape, *type);
  std::memcpy(tensor.mutable_data_ptr(), array.bytes.data(), array.bytes.size());
  return tensor;
}

spec::ResultRow reading(std::string metric, double value, std::string unit, bool higher_is_better,
                        std::int64_t n) {
  return {.metric = std::move(metric),
          .value = value,
          .unit = std::move(unit),
          .higher_is_better = higher_is_better,
          .n = n};
}

EpochCallback progress_of_epochs(const JobRun& run) {
  return [&run](std::int64_t epoch, std::int64_t epochs, const models::Losses& losses, double rate) {
    run.progress.update({.epoch = epoch,
                         .epochs = epochs,
                         .fraction = static_cast<double>(epoch) / static_cast<double>(epochs),
                         .rate = rate,
                         .losses = losses,
                         .phase = "train"});
  };
}

models::KeepWeights keep_weights(const JobRun& run) {
  if (!run.is_main_rank() || run.attempt.log.empty()) return {};
  return [&run](const models::NamedTensors& weights) -> Result<std::filesystem::path> {
    std::filesystem::path path = run.attempt.log;
    path.replace_extension(".weights.safetensors");
    GAUNTLET_CHECK_OK(train::save_tensors(path, weights));
    return path;
  };
}

namespace {

train::CheckpointOptions checkpoint_options(const JobRun& run) {
  const worker::AttemptContext& attempt = run.attempt;
  return {.folder = attempt.workdir / "checkpoints" / attempt.key.hex(),
          .belongs_to = {{"format", "gauntlet checkpoint 1"},
                         {"job", attempt.key.hex()},
                         {"entry", attempt.job.entry},
                         {"version", fmt::format("{}", attempt.job.version)},
                         {"world size", fmt::format("{}", attempt.world)}},
          .minutes = attempt.checkpoint_minutes,
          .communicator = &run.communicator,
          .stop = attempt.stop,
          .on_resume = [&run](std::int64_t epoch, std::int64_t n_epochs) {
            run.progress.update({.epoch = epoch,
                                 .epochs = n_epochs,
                                 .fraction = static_cast<double>(epoch) / static_cast<double>(n_epochs),
                                 .phase = fmt::format("resumed at epoch {}", epoch + 1)});
          }};
}

}  // namespace

Result<worker::AttemptResult> with_checkpoints(const JobRun& run, const Train& train) {
  Result<worker::AttemptResult> result;
  for (const bool ignores_old : {false, true}) {
    train::FileCheckpointer checkpointer(checkpoint_options(run), ignores_old);
    result = train(checkpointer);
    if (result) checkpointer.discard();
    if (!checkpointer.is_unfit()) break;
    if (run.is_main_rank()) fmt::print("{}: starting from epoch 1\n", result.error().message);
  }
  return result;
}

std::vector<spec::Curve> loss_curves(const std::map<std::string, std::vector<float>>& losses) {
  std::vector<spec::Curve> curves;
  for (const auto& [name, values] : losses) {
    std::vector<float> epochs(values.size());
    std::iota(epochs.begin(), epochs.end(), 1.0F);
    curves.push_back({"loss:" + name, "epoch", name, std::move(epochs), values});
  }
  return curves;
}

}  // namespace gauntlet::run
