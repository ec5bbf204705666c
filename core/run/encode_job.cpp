#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <unordered_map>

#include "core/defenses/refusing.hpp"
#include "core/metrics/codes.hpp"
#include "core/run/chosen_rows.hpp"
#include "core/run/image_features.hpp"
#include "core/run/jobs.hpp"
#include "core/spec/external.hpp"
#include "core/train/device_batches.hpp"

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

/// What is encoded: dataset rows and, where they were crafted, the inputs themselves.
struct Source {
  std::vector<std::int64_t> rows;
  torch::Tensor crafted;                 ///< undefined when clean
  std::vector<std::int64_t> crafted_at;  ///< of retrieval rows: which of `crafted` each is, -1 for none
  ImageFeatures features;                ///< of clean pictures that no defense touches; empty otherwise
  torch::Tensor refusal_scores = {};     ///< of inputs that went through a defense elsewhere, if it refuses
};

/// For each of the rows where it stands among the crafted ones, -1 where it does not.
Result<std::vector<std::int64_t>> places_of(const std::vector<std::int64_t>& rows,
                                            std::span<const std::int64_t> crafted,
                                            const std::filesystem::path& folder) {
  std::unordered_map<std::int64_t, std::int64_t> place;
  for (std::size_t at = 0; at < crafted.size(); ++at)
    place.emplace(crafted[at], static_cast<std::int64_t>(at));
  std::vector<std::int64_t> places;
  std::size_t n_found = 0;
  for (const std::int64_t row : rows) {
    const auto found = place.find(row);
    places.push_back(found == place.end() ? -1 : found->second);
    n_found += found == place.end() ? 0 : 1;
  }
  if (n_found == crafted.size()) return places;
  return fail(ErrorCode::kCorrupt, "{} holds {} items, {} of which are in the retrieval set", folder.string(),
              crafted.size(), n_found);
}

Result<Source> open_source(const JobRun& run, const EncodePlan& plan, const data::PreparedSet& set) {
  if (!plan.crafted) {
    GAUNTLET_TRY(ImageFeatures features, open_features(run, set));
    return Source{chosen_rows(run, set, plan.part), {}, {}, std::move(features)};
  }
  GAUNTLET_TRY(const artifacts::Artifact artifact, open_input(run, "crafted", spec::JobKind::kCraft));
  Source source;
  GAUNTLET_TRY(source.crafted, read_tensor(artifact.file("inputs.npy")));
  GAUNTLET_TRY(const torch::Tensor rows, read_tensor(artifact.file("rows.npy")));
  if (std::error_code ignored; std::filesystem::exists(artifact.file(spec::kRefusalFile), ignored)) {
    GAUNTLET_TRY(source.refusal_scores, read_tensor(artifact.file(spec::kRefusalFile)));
  }
  if (source.crafted.size(0) != rows.numel()) {
    return fail(ErrorCode::kCorrupt, "{} holds {} inputs for {} rows", artifact.folder.string(),
                source.crafted.size(0), rows.numel());
  }
  const std::span given(rows.const_data_ptr<std::int64_t>(), static_cast<std::size_t>(rows.numel()));
  if (plan.part == data::Part::kRetrieval) {
    source.rows = set.rows(plan.part);
    GAUNTLET_TRY(source.crafted_at, places_of(source.rows, given, artifact.folder));
  } else {
    source.rows.assign(given.begin(), given.end());
  }
  return source;
}

/// Clean inputs with the crafted ones of [begin, end) in their places.
torch::Tensor with_crafted(torch::Tensor inputs, const Source& source, std::int64_t begin, std::int64_t end) {
  std::vector<std::int64_t> into, from;
  for (std::int64_t at = begin; at < end; ++at) {
    const std::int64_t crafted = source.crafted_at[static_cast<std::size_t>(at)];
    if (crafted < 0) continue;
    into.push_back(at - begin);
    from.push_back(crafted);
  }
  if (into.empty()) return inputs;
  const torch::Tensor changed = source.crafted.index_select(0, torch::tensor(from, torch::kInt64));
  return inputs.index_copy(0, torch::tensor(into, torch::kInt64).to(inputs.device()),
                           changed.to(inputs.device()));
}

/// The inputs of rows [begin, end) of the source.
torch::Tensor inputs_of(const JobRun& run, const Source& source, const EncodePlan& plan,
                        const data::PreparedSet& set, std::int64_t begin, std::int64_t end) {
  if (plan.crafted && plan.part != data::Part::kRetrieval)
    return source.crafted.slice(0, begin, end).to(run.device);
  const std::span rows(source.rows.data() + begin, static_cast<std::size_t>(end - begin));
  if (plan.crafted)
    return with_crafted(train::inputs_on(run.device, set, plan.modality, rows), source, begin, end);
  if (source.features.values.width > 0)
    return train::features_of(source.features.values, rows).to(run.device);
  return train::inputs_on(run.device, set, plan.modality, rows);
}

/// Of one rank's inputs.
struct Encoded {
  torch::Tensor codes;           ///< [n, K] relaxed
  torch::Tensor refusal_scores;  ///< [n] float of queries through a defense that refuses; undefined otherwise
};

/// This rank's shard.
Result<Encoded> encode_shard(const JobRun& run, const EncodePlan& plan, const data::PreparedSet& set,
                             const Source& source, defenses::Pipeline& pipeline) {
  const torch::NoGradGuard no_grad;
  const train::Slice shard =
      train::slice_of(static_cast<std::int64_t>(source.rows.size()), run.attempt.rank, run.attempt.world);
  auto* const refusing =
      plan.part == data::Part::kRetrieval ? nullptr : dynamic_cast<defenses::Refusing*>(&pipeline);
  std::vector<torch::Tensor> codes, scores;
  for (std::int64_t begin = shard.begin; begin < shard.end; begin += kInputsPerBatch) {
    const std::int64_t end = std::min(begin + kInputsPerBatch, shard.end);
    const torch::Tensor inputs = inputs_of(run, source, plan, set, begin, end);
    const torch::Tensor relaxed = plan.part == data::Part::kRetrieval
                                      ? pipeline.encode_retrieval(plan.modality, inputs)
                                      : pipeline.encode_query(plan.modality, inputs);
    codes.push_back(relaxed.cpu());
    if (refusing != nullptr)
      scores.push_back(refusing->refusal_score(plan.modality, inputs).to(torch::kCPU, torch::kFloat32));
    run.progress.update(
        {.fraction = static_cast<double>(end - shard.begin) / static_cast<double>(shard.end - shard.begin),
         .phase = "encode"});
  }
  Encoded encoded;
  encoded.codes = codes.empty() ? torch::empty({0, 0}) : torch::cat(codes);
  if (refusing != nullptr) encoded.refusal_scores = scores.empty() ? torch::empty({0}) : torch::cat(scores);
  return encoded;
}

/// Seconds that one call takes.
template <typename Call>
double seconds_of(const Call& call) {
  const auto started = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
}

double median_of(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

/// What the defense costs a query beyond the bare model, in milliseconds. Queries go one by one through both
/// in turn, so that a busy machine slows both alike, and every other query through the defense first, since
/// the second of two finds the query and much of the network in the cache: the mean of the median differences
/// in either order. The first query warms both up and does not count unless it is the only one. Below 0 only
/// by noise.
double added_latency_ms(Modality modality, const torch::Tensor& queries, defenses::Pipeline& pipeline,
                        models::HashingModel& model) {
  const torch::NoGradGuard no_grad;
  const auto added_ms = [&](const torch::Tensor& query, bool bare_first) {
    const auto bare = [&] { static_cast<void>(model.encode(modality, query)); };
    const auto defended = [&] { static_cast<void>(pipeline.encode_query(modality, query)); };
    const double first = bare_first ? seconds_of(bare) : seconds_of(defended);
    const double second = bare_first ? seconds_of(defended) : seconds_of(bare);
    return 1000 * (bare_first ? second - first : first - second);
  };
  const std::int64_t n = queries.size(0);
  if (n == 1) return added_ms(queries, true);
  static_cast<void>(added_ms(queries.slice(0, 0, 1), true));
  std::vector<double> in_order[2];
  for (std::int64_t at = 1; at < n; ++at) {
    in_order[at % 2].push_back(added_ms(queries.slice(0, at, at + 1), at % 2 == 0));
  }
  if (n == 2) return in_order[1].front();
  return (median_of(in_order[0]) + median_of(in_order[1])) / 2;
}

/// What a defense costs beside its training job's rows, measured where queries go through it; one that does
/// not train says here that it has no parameters and takes no training.
Result<std::vector<spec::ResultRow>> costs_of(const JobRun& run, const EncodePlan& plan,
                                              const data::PreparedSet& set, const Source& source,
                                              defenses::Pipeline& pipeline, models::HashingModel& model) {
  const std::string& defense = run.attempt.job.entry;
  if (plan.part != data::Part::kQuery || defense == "none" || source.rows.empty())
    return std::vector<spec::ResultRow>{};
  const auto n = std::min<std::size_t>(kLatencyQueries, source.rows.size());
  const torch::Tensor queries =
      plan.crafted ? source.crafted.slice(0, 0, static_cast<std::int64_t>(n)).to(run.device)
                   : train::inputs_on(run.device, set, plan.modality, std::span(source.rows).first(n));
  std::vector<spec::ResultRow> rows = {reading("added_latency",
                                               added_latency_ms(plan.modality, queries, pipeline, model),
                                               "ms", false, static_cast<std::int64_t>(n))};
  GAUNTLET_TRY(const defenses::DefenseEntry* entry, defenses::defense_registry().find(defense));
  if (entry->train == nullptr) {
    rows.push_back(reading("training_time", 0, "s", false));
    rows.push_back(reading("parameters", 0, "count", false));
  }
  return rows;
}

/// Share of the codes [n, bytes] that are the most frequent one: 1 where all queries look alike.
double common_share(std::span<const std::uint8_t> bytes, std::int64_t n) {
  if (n == 0) return 0;
  const std::size_t width = bytes.size() / static_cast<std::size_t>(n);
  std::map<std::string, std::int64_t> times;
  std::int64_t most = 0;
  for (std::size_t begin = 0; begin < bytes.size(); begin += width) {
    const auto code = bytes.subspan(begin, width);
    most = std::max(most, ++times[std::string(code.begin(), code.end())]);
  }
  return static_cast<double>(most) / static_cast<double>(n);
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

  // Never the draws an attack was chosen by.
  const auto draw = run.config().value("draw", std::int64_t{0});
  pipeline->use_draw(
      seed_of(run, draw == 0 ? "draws of the report" : fmt::format("draws of the report/{}", draw)));
  const auto started = std::chrono::steady_clock::now();
  GAUNTLET_TRY(Encoded local, encode_shard(run, plan, set, source, *pipeline));
  if (local.codes.numel() == 0) local.codes = torch::empty({0, target.shape.code_bits});
  const torch::Tensor relaxed = run.communicator.gather_rows(local.codes).contiguous();
  torch::Tensor refusal_scores = source.refusal_scores;
  if (local.refusal_scores.defined())
    refusal_scores = run.communicator.gather_rows(local.refusal_scores).contiguous();
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
  if (refusal_scores.defined())
    GAUNTLET_CHECK_OK(write_tensor(draft.folder() / spec::kRefusalFile, refusal_scores));
  const Json about = {{"bits", target.shape.code_bits}, {"n", n}, {"zeros", packed.n_zeros()}};
  GAUNTLET_TRY(const artifacts::Artifact artifact,
               run.attempt.store.publish(std::move(draft), run.attempt.job, run.attempt.key, about));
  worker::AttemptResult result{
      .rows = {reading("encoding_rate", static_cast<double>(n) / std::max(seconds, 1e-9), "rows/s", true, n)},
      .curves = {},
      .manifest_hash = artifact.manifest_hash};
  if (plan.part == data::Part::kQuery)
    result.rows.push_back(reading("common_code", common_share(bytes, n), "ratio", false, n));
  GAUNTLET_TRY(const std::vector<spec::ResultRow> costs,
               costs_of(run, plan, set, source, *pipeline, *target.model));
  result.rows.insert(result.rows.end(), costs.begin(), costs.end());
  return result;
}

}  // namespace gauntlet::run
