#include "core/attacks/attack.hpp"
#include "core/run/jobs.hpp"
#include "core/train/batches.hpp"

namespace gauntlet::run {
namespace {

constexpr std::int64_t kBatch = 128;
constexpr double kInt8Steps = 127;

struct CraftPlan {
  Modality modality = Modality::kImage;
  data::Part part = data::Part::kQuery;
  bool adaptive = false;
  std::vector<std::int64_t> rows;
};

Result<CraftPlan> read_plan(const JobRun& run, const data::PreparedSet& set) {
  CraftPlan plan;
  GAUNTLET_TRY(plan.modality, modality_from(run.config().value("modality", "")));
  GAUNTLET_TRY(plan.part, data::part_from(run.config().value("part", "")));
  plan.adaptive = run.config().value("protocol", "static") == "adaptive";
  plan.rows = set.rows(plan.part);
  const auto limit = static_cast<std::size_t>(run.config().value("limit", std::int64_t{0}));
  if (limit > 0 && limit < plan.rows.size()) plan.rows.resize(limit);
  return plan;
}

/// What the attack may see: the bare target model, or the whole defended pipeline when the attack is
/// adaptive.
Result<attacks::AttackSurface> make_surface(const JobRun& run, const CraftPlan& plan,
                                            const data::PreparedSet& set, const LoadedModel& target,
                                            std::unique_ptr<defenses::Pipeline>& pipeline) {
  GAUNTLET_TRY(const TrainingCodes codes, open_training_codes(run, set));
  attacks::AttackSurface surface;
  surface.modality = plan.modality;
  surface.train_codes_image = codes.image;
  surface.train_codes_text = codes.text;
  surface.train_labels = codes.labels;
  surface.code_bits = target.shape.code_bits;
  surface.input_low = plan.modality == Modality::kText && !set.text_is_binary() ? -1 : 0;
  if (!plan.adaptive) {
    surface.encode = [model = target.model, modality = plan.modality](const torch::Tensor& input) {
      return model->encode(modality, input);
    };
    return surface;
  }
  const Json defense = run.config().value("defense", Json::object());
  GAUNTLET_TRY(pipeline, open_pipeline(run, defense.value("name", ""),
                                       defense.value("config", Json::object()), target, plan.modality));
  surface.encode = [defended = pipeline.get(), modality = plan.modality](const torch::Tensor& input) {
    return defended->encode_query(modality, input);
  };
  return surface;
}

/// Sizes of perturbations, added up over this rank's inputs, then over ranks.
struct PerturbationSizes {
  torch::Tensor sums = torch::zeros({2}, torch::kFloat64);  ///< Σ mean squared error, Σ L2 norm
  double linf = 0;

  void add(const torch::Tensor& delta) {
    const torch::Tensor flat = delta.reshape({delta.size(0), -1}).to(torch::kFloat64);
    sums[0] += flat.pow(2).mean(1).sum();
    sums[1] += flat.norm(2, 1).sum();
    linf = std::max(linf, flat.abs().max().item<double>());
  }
};

/// Perceptibility is the root of the mean squared error over queries, on the [0,1] scale (TA-DCH's
/// definition).
std::vector<spec::ResultRow> size_rows(const PerturbationSizes& sizes, std::int64_t n, Modality modality,
                                       std::int64_t queries_used) {
  const double mse = sizes.sums[0].item<double>() / static_cast<double>(n);
  const bool image = modality == Modality::kImage;
  return {reading("perceptibility", std::sqrt(mse), "ratio", false, n),
          reading("linf", sizes.linf * (image ? 255 : 1), image ? "grey_levels" : "value", false, n),
          reading("l2", sizes.sums[1].item<double>() / static_cast<double>(n), "value", false, n),
          reading("queries_used", static_cast<double>(queries_used), "count", false, n)};
}

/// Adversarial inputs of this rank's shard, in row order.
torch::Tensor perturb_shard(const JobRun& run, const CraftPlan& plan, const data::PreparedSet& set,
                            attacks::Attack& attack, PerturbationSizes& sizes) {
  const train::Slice shard =
      train::slice_of(static_cast<std::int64_t>(plan.rows.size()), run.attempt.rank, run.attempt.world);
  std::vector<torch::Tensor> crafted;
  for (std::int64_t begin = shard.begin; begin < shard.end; begin += kBatch) {
    const std::int64_t end = std::min(begin + kBatch, shard.end);
    const std::span rows(plan.rows.data() + begin, static_cast<std::size_t>(end - begin));
    const torch::Tensor clean = train::inputs_of(set, plan.modality, rows);
    const torch::Tensor adversarial =
        attack.perturb({.inputs = clean, .labels = train::labels_of(set, rows), .rows = rows});
    sizes.add(adversarial - clean);
    crafted.push_back(plan.part == data::Part::kQuery ? adversarial : adversarial - clean);
    run.progress.update(
        {.fraction = static_cast<double>(end - shard.begin) / static_cast<double>(shard.end - shard.begin),
         .phase = "craft"});
  }
  if (!crafted.empty()) return torch::cat(crafted).contiguous();
  return train::inputs_of(set, plan.modality, {});
}

/// Query sets are kept as float32 inputs; training sets as int8 perturbations with one scale.
Result<Json> write_crafted(const std::filesystem::path& folder, const CraftPlan& plan,
                           const torch::Tensor& crafted, double linf) {
  GAUNTLET_CHECK_OK(write_tensor(folder / "rows.npy", torch::tensor(plan.rows, torch::kInt64)));
  if (plan.part == data::Part::kQuery) {
    GAUNTLET_CHECK_OK(write_tensor(folder / "inputs.npy", crafted));
    return Json{{"n", crafted.size(0)}};
  }
  const double scale = linf > 0 ? linf / kInt8Steps : 1;
  GAUNTLET_CHECK_OK(write_tensor(folder / "perturbations.npy", (crafted / scale).round().to(torch::kInt8)));
  return Json{{"n", crafted.size(0)}, {"scale", scale}};
}

}  // namespace

Result<worker::AttemptResult> run_craft(const JobRun& run) {
  const worker::AttemptContext& attempt = run.attempt;
  GAUNTLET_TRY(const data::PreparedSet set, open_data(run));
  GAUNTLET_TRY(const CraftPlan plan, read_plan(run, set));
  GAUNTLET_TRY(const LoadedModel target, open_model(run));
  std::unique_ptr<defenses::Pipeline> pipeline;
  GAUNTLET_TRY(attacks::AttackSurface surface, make_surface(run, plan, set, target, pipeline));
  GAUNTLET_TRY(const attacks::AttackEntry* entry, attacks::attack_registry().find(attempt.job.entry));
  if (entry->make == nullptr)
    return fail(ErrorCode::kInvalid, "attack '{}' crafts nothing", attempt.job.entry);
  const std::uint64_t seed =
      seed_of(run, fmt::format("attack/{}/{}", attempt.job.entry, name_of(plan.modality)));
  GAUNTLET_TRY(const auto attack,
               entry->make(run.config().value("attack", Json::object()), std::move(surface), seed));

  PerturbationSizes sizes;
  const torch::Tensor local = perturb_shard(run, plan, set, *attack, sizes);
  const torch::Tensor crafted = run.communicator.gather_rows(local);
  run.communicator.all_reduce_sum_(sizes.sums);
  const torch::Tensor linf_of_ranks =
      run.communicator.gather_rows(torch::full({1}, sizes.linf, torch::kFloat64));
  sizes.linf = linf_of_ranks.max().item<double>();
  if (!run.is_main_rank()) return worker::AttemptResult{};

  GAUNTLET_TRY(artifacts::Draft draft, attempt.store.begin(attempt.key));
  GAUNTLET_TRY(const Json about, write_crafted(draft.folder(), plan, crafted, sizes.linf));
  GAUNTLET_TRY(const artifacts::Artifact artifact,
               attempt.store.publish(std::move(draft), attempt.job, attempt.key, about));
  return worker::AttemptResult{
      .rows = size_rows(sizes, crafted.size(0), plan.modality, attack->queries_used()),
      .manifest_hash = artifact.manifest_hash};
}

}  // namespace gauntlet::run
