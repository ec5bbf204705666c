#include <algorithm>
#include <chrono>

#include "core/metrics/codes.hpp"
#include "core/run/image_features.hpp"
#include "core/run/jobs.hpp"
#include "core/train/batches.hpp"

namespace gauntlet::run {
namespace {

constexpr std::size_t kLatencyQueries = 32;

struct EncodePlan {
  Modality modality = Modality::kImage;
  data::Part part = data::Part::kQuery;
  bool crafted = false;
};

Result<EncodePlan> read_plan(const JobRun& run) {
  EncodePlan plan;
  GAUNTLET_TRY(plan.modality, modality_from(run.config().value("modality", "")));
  GAUNTLET_TRY(plan.part, data::part_from(run.config().value("part", "")));
  plan.crafted = run.config().value("source", "clean") == "crafted";
  return plan;
}

/// What is encoded: dataset rows and, for crafted queries, the inputs themselves.
struct Source {
  std::vector<std::int64_t> rows;
  torch::Tensor crafted;   ///< undefined when clean
  ImageFeatures features;  ///< of clean pictures that no defense touches; empty otherwise
};

Result<Source> open_source(const JobRun& run, const EncodePlan& plan, const data::PreparedSet& set) {
  if (!plan.crafted) {
    GAUNTLET_TRY(ImageFeatures features, open_features(run, set));
    return Source{set.rows(plan.part), {}, std::move(features)};
  }
  GAUNTLET_TRY(const artifacts::Artifact artifact, open_input(run, "crafted", spec::JobKind::kCraft));
  Source source;
  GAUNTLET_TRY(source.crafted, read_tensor(artifact.file("inputs.npy")));
  GAUNTLET_TRY(const torch::Tensor rows, read_tensor(artifact.file("rows.npy")));
  source.rows.assign(rows.data_ptr<std::int64_t>(), rows.data_ptr<std::int64_t>() + rows.numel());
  if (source.crafted.size(0) != rows.numel()) {
    return fail(ErrorCode::kCorrupt, "{} holds {} inputs for {} rows", artifact.folder.string(),
                source.crafted.size(0), rows.numel());
  }
  return source;
}

/// The inputs of rows [begin, end) of the source.
torch::Tensor inputs_of(const Source& source, const EncodePlan& plan, const data::PreparedSet& set,
                        std::int64_t begin, std::int64_t end) {
  if (plan.crafted) return source.crafted.slice(0, begin, end);
  const std::span rows(source.rows.data() + begin, static_cast<std::size_t>(end - begin));
  if (source.features.values.width > 0) return train::features_of(source.features.values, rows);
  return train::inputs_of(set, plan.modality, rows);
}

/// Relaxed codes [n, K] of this rank's shard.
Result<torch::Tensor> encode_shard(const JobRun& run, const EncodePlan& plan, const data::PreparedSet& set,
                                   const Source& source, defenses::Pipeline& pipeline) {
  const torch::NoGradGuard no_grad;
  const train::Slice shard =
      train::slice_of(static_cast<std::int64_t>(source.rows.size()), run.attempt.rank, run.attempt.world);
  std::vector<torch::Tensor> codes;
  for (std::int64_t begin = shard.begin; begin < shard.end; begin += kInputsPerBatch) {
    const std::int64_t end = std::min(begin + kInputsPerBatch, shard.end);
    const torch::Tensor inputs = inputs_of(source, plan, set, begin, end);
    codes.push_back(plan.part == data::Part::kRetrieval ? pipeline.encode_retrieval(plan.modality, inputs)
                                                        : pipeline.encode_query(plan.modality, inputs));
    run.progress.update(
        {.fraction = static_cast<double>(end - shard.begin) / static_cast<double>(shard.end - shard.begin),
         .phase = "encode"});
  }
  if (codes.empty()) return torch::empty({0, 0});
  return torch::cat(codes);
}

/// What the defense costs a query beyond the bare model, in milliseconds: queries one by one, the median of
/// each.
double added_latency_ms(const EncodePlan& plan, const data::PreparedSet& set, const Source& source,
                        defenses::Pipeline& pipeline, models::HashingModel& model) {
  const torch::NoGradGuard no_grad;
  const auto n = std::min<std::size_t>(kLatencyQueries, source.rows.size());
  const torch::Tensor inputs = plan.crafted
                                   ? source.crafted.slice(0, 0, static_cast<std::int64_t>(n))
                                   : train::inputs_of(set, plan.modality, std::span(source.rows).first(n));
  const auto median_ms = [&](const auto& encode) {
    std::vector<double> times;
    for (std::int64_t at = 0; at < inputs.size(0); ++at) {
      const auto started = std::chrono::steady_clock::now();
      static_cast<void>(encode(inputs.slice(0, at, at + 1)));
      const std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - started;
      times.push_back(elapsed.count());
    }
    std::ranges::nth_element(times, times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2));
    return times[times.size() / 2];
  };
  const double bare =
      median_ms([&](const torch::Tensor& input) { return model.encode(plan.modality, input); });
  return median_ms([&](const torch::Tensor& input) { return pipeline.encode_query(plan.modality, input); }) -
         bare;
}

}  // namespace

Result<worker::AttemptResult> run_encode(const JobRun& run) {
  GAUNTLET_TRY(const EncodePlan plan, read_plan(run));
  GAUNTLET_TRY(const data::PreparedSet set, open_data(run));
  GAUNTLET_TRY(const LoadedModel target, open_model(run));
  GAUNTLET_TRY(const auto pipeline,
               open_pipeline(run, run.attempt.job.entry, run.config().value("defense", Json::object()),
                             target, plan.modality));
  GAUNTLET_TRY(const Source source, open_source(run, plan, set));

  const auto started = std::chrono::steady_clock::now();
  GAUNTLET_TRY(torch::Tensor local, encode_shard(run, plan, set, source, *pipeline));
  if (local.numel() == 0) local = torch::empty({0, target.shape.code_bits});
  const torch::Tensor relaxed = run.communicator.gather_rows(local).contiguous();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  if (!run.is_main_rank()) return worker::AttemptResult{};

  const std::int64_t n = relaxed.size(0);
  GAUNTLET_TRY(
      const metrics::PackedCodes packed,
      metrics::PackedCodes::from_values(
          std::span<const float>(relaxed.const_data_ptr<float>(), static_cast<std::size_t>(relaxed.numel())),
          target.shape.code_bits));
  GAUNTLET_TRY(artifacts::Draft draft, run.attempt.store.begin(run.attempt.key));
  const std::vector<std::uint8_t> bytes = packed.to_bytes();
  const torch::Tensor code_bytes = torch::from_blob(const_cast<std::uint8_t*>(bytes.data()),
                                                    {n, (target.shape.code_bits + 7) / 8}, torch::kUInt8);
  GAUNTLET_CHECK_OK(write_tensor(draft.folder() / "codes.npy", code_bytes));
  GAUNTLET_CHECK_OK(write_tensor(draft.folder() / "rows.npy", torch::tensor(source.rows, torch::kInt64)));
  const Json about = {{"bits", target.shape.code_bits}, {"n", n}, {"zeros", packed.n_zeros()}};
  GAUNTLET_TRY(const artifacts::Artifact artifact,
               run.attempt.store.publish(std::move(draft), run.attempt.job, run.attempt.key, about));
  worker::AttemptResult result{
      .rows = {reading("encoding_rate", static_cast<double>(n) / std::max(seconds, 1e-9), "rows/s", true, n)},
      .curves = {},
      .manifest_hash = artifact.manifest_hash};
  if (plan.part == data::Part::kQuery && run.attempt.job.entry != "none" && n > 0) {
    result.rows.push_back(reading("added_latency",
                                  added_latency_ms(plan, set, source, *pipeline, *target.model), "ms", false,
                                  std::min<std::int64_t>(kLatencyQueries, n)));
  }
  return result;
}

}  // namespace gauntlet::run
