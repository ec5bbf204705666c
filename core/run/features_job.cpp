#include <numeric>

#include "core/models/backbone.hpp"
#include "core/run/image_features.hpp"
#include "core/run/jobs.hpp"
#include "core/train/device_batches.hpp"

namespace gauntlet::run {
namespace {

constexpr std::int64_t kBatch = 64;  // 224 px pictures and their maps take about 1 MB each

/// The backbone that the job's config describes, with its published weights.
Result<std::shared_ptr<models::Backbone>> open_backbone(const JobRun& run, const data::PreparedSet& set) {
  constexpr std::string_view kOwner = "features";
  Json fields = run.config();
  fields.update(run.attempt.job.locations);
  GAUNTLET_TRY(const models::BackboneConfig config, models::backbone_config_of(fields, kOwner));
  if (!config.is_frozen())
    return fail(ErrorCode::kInvalid, "features are computed by frozen backbones only; this one is {}",
                config.backbone);
  GAUNTLET_TRY(std::shared_ptr<models::Backbone> trunk,
               models::make_backbone(config, train::shape_for(set, 0), kOwner, &run.communicator));
  GAUNTLET_CHECK_OK(models::load_pretrained(*trunk, config, kOwner));
  trunk->to(run.device);
  return trunk;
}

/// Features [n, F] of this rank's share of all items.
torch::Tensor features_of_shard(const JobRun& run, const data::PreparedSet& set, models::Backbone& trunk) {
  const torch::NoGradGuard no_grad;
  const train::Slice shard = train::slice_of(set.n_items(), run.attempt.rank, run.attempt.world);
  torch::Tensor features = torch::empty({shard.end - shard.begin, trunk.n_features()});
  std::vector<std::int64_t> items;
  for (std::int64_t begin = shard.begin; begin < shard.end; begin += kBatch) {
    items.resize(static_cast<std::size_t>(std::min(kBatch, shard.end - begin)));
    std::iota(items.begin(), items.end(), begin);
    const auto n = static_cast<std::int64_t>(items.size());
    features.narrow(0, begin - shard.begin, n)
        .copy_(trunk.forward(train::inputs_on(run.device, set, Modality::kImage, items)));
    run.progress.update({.fraction = static_cast<double>(begin + n - shard.begin) /
                                     static_cast<double>(shard.end - shard.begin),
                         .phase = "features"});
  }
  return features;
}

}  // namespace

Result<ImageFeatures> open_features(const JobRun& run, const data::PreparedSet& set) {
  ImageFeatures features;
  if (!has_input(run, "features")) return features;
  GAUNTLET_TRY(const artifacts::Artifact artifact, open_input(run, "features", spec::JobKind::kFeatures));
  GAUNTLET_TRY(features.file, io::read_npy(artifact.file("features.npy")));
  const std::vector<std::int64_t>& shape = features.file.shape;
  if (shape.size() != 2 || shape[0] != set.n_items() || shape[1] < 1) {
    return fail(ErrorCode::kCorrupt, "{} does not hold one row of features for each of {} items",
                features.file.path.string(), set.n_items());
  }
  GAUNTLET_TRY(features.values.values, features.file.as<float>());
  features.values.width = shape[1];
  return features;
}

Result<worker::AttemptResult> run_features(const JobRun& run) {
  const worker::AttemptContext& attempt = run.attempt;
  GAUNTLET_TRY(const data::PreparedSet set, open_data(run));
  GAUNTLET_TRY(const std::shared_ptr<models::Backbone> trunk, open_backbone(run, set));
  const torch::Tensor features = run.communicator.gather_rows(features_of_shard(run, set, *trunk));
  if (!run.is_main_rank()) return worker::AttemptResult{};

  GAUNTLET_TRY(artifacts::Draft draft, attempt.store.begin(attempt.key));
  GAUNTLET_CHECK_OK(write_tensor(draft.folder() / "features.npy", features));
  const Json about = {{"n", features.size(0)}, {"width", features.size(1)}};
  GAUNTLET_TRY(const artifacts::Artifact artifact,
               attempt.store.publish(std::move(draft), attempt.job, attempt.key, about));
  return worker::AttemptResult{.manifest_hash = artifact.manifest_hash};
}

}  // namespace gauntlet::run
