#include <map>
#include <sstream>

#include "core/run/attack_surface.hpp"
#include "core/run/chosen_rows.hpp"
#include "core/run/jobs.hpp"
#include "core/run/targets.hpp"
#include "core/train/batches.hpp"
#include "core/train/checkpoint.hpp"
#include "core/train/device_batches.hpp"

namespace gauntlet::run {
namespace {

constexpr double kInt8Steps = 127;

struct CraftPlan {
  Modality modality = Modality::kImage;
  data::Part part = data::Part::kQuery;
  std::vector<std::int64_t> rows;
  Targets targets;  ///< of a targeted attack

  /// Whether what is kept are the inputs that are measured, and not perturbations to train on.
  [[nodiscard]] bool keeps_inputs() const { return part != data::Part::kTrain; }
};

/// The targets of the attack's own way to draw them; part of its config, so of the key.
Result<Targets> targets_of(const JobRun& run, const data::PreparedSet& set,
                           std::span<const std::int64_t> rows) {
  const Json attack = run.config().value("attack", Json::object());
  GAUNTLET_TRY(const TargetDraw draw, target_draw_from(attack.value("targets", "uniform")));
  return draw_targets(set, rows, draw, attack.value("target_min_items", std::int64_t{1}),
                      seed_of(run, "targets"));
}

Result<CraftPlan> read_plan(const JobRun& run, const data::PreparedSet& set,
                            const attacks::AttackEntry& entry) {
  CraftPlan plan;
  GAUNTLET_TRY(plan.modality, modality_from(run.config().value("modality", "")));
  GAUNTLET_TRY(plan.part, data::part_from(run.config().value("part", "")));
  plan.rows = chosen_rows(run, set, plan.part);
  if (entry.about.capabilities.targeted) {
    GAUNTLET_TRY(plan.targets, targets_of(run, set, plan.rows));
  }
  return plan;
}

/// Sizes of perturbations, added up over this rank's inputs, then over ranks.
struct PerturbationSizes {
  torch::Tensor sums = torch::zeros({2}, torch::kFloat64);  ///< Σ mean squared error, Σ L2 norm
  double linf = 0;

  void add(const torch::Tensor& delta) {
    const torch::Tensor flat = delta.reshape({delta.size(0), -1}).cpu().to(torch::kFloat64);
    sums[0] += flat.pow(2).mean(1).sum();
    sums[1] += flat.norm(2, 1).sum();
    linf = std::max(linf, flat.abs().max().item<double>());
  }
};

/// What the inputs of an attack have to keep to.
struct Limits {
  double low = 0;  ///< of a valid value
  double high = 1;
  double epsilon = -1;  ///< budget; below 0: none is declared
  bool on_grid = false;
};

constexpr double kSlack = 1e-6;
constexpr const char* kIllegal = "illegal_inputs";

Limits limits_of(const JobRun& run, const attacks::AttackSurface& surface) {
  Limits limits{.low = surface.input_low, .high = surface.input_high};
  const Json attack = run.config().value("attack", Json::object());
  limits.epsilon = attack.value(fmt::format("epsilon_{}", name_of(surface.modality)), -1.0);
  limits.on_grid = surface.modality == Modality::kImage && attack.value("rounding", "none") == "u8";
  return limits;
}

/// [B] double: 1 for inputs with a value that is no number, or outside range, budget or the grid of k/255.
torch::Tensor illegal(const torch::Tensor& clean, const torch::Tensor& adversarial, const Limits& limits) {
  const torch::Tensor x = adversarial.to(torch::kFloat64).flatten(1);
  torch::Tensor wrong =
      x.isfinite().logical_not().logical_or(x.lt(limits.low - kSlack)).logical_or(x.gt(limits.high + kSlack));
  if (limits.epsilon >= 0) {
    const torch::Tensor change = (x - clean.to(torch::kFloat64).flatten(1)).abs();
    wrong = wrong.logical_or(change.gt(limits.epsilon + kSlack));
  }
  if (limits.on_grid) wrong = wrong.logical_or((255 * x - (255 * x).round()).abs().gt(255 * kSlack));
  return wrong.any(1).to(torch::kFloat64);
}

/// What an attack noticed, [n] double by name, of this rank's inputs.
using Observed = std::map<std::string, torch::Tensor>;

/// The inputs' values of every batch, one after the other. An attack's names are always the same.
Observed joined(const std::vector<Observed>& batches) {
  std::map<std::string, std::vector<torch::Tensor>> parts;
  for (const Observed& batch : batches) {
    for (const auto& [name, values] : batch) parts[name].push_back(values.to(torch::kFloat64));
  }
  Observed all;
  for (const auto& [name, values] : parts) all[name] = torch::cat(values).contiguous();
  return all;
}

/// All ranks' values. The names are those of rank 0, which has the first inputs.
Observed gathered(const Observed& local, const JobRun& run) {
  std::string names;
  for (const auto& [name, values] : local) names += name + "\n";
  names += "\n";  // never empty, which not every communicator takes
  const torch::Tensor own =
      torch::from_blob(names.data(), {static_cast<std::int64_t>(names.size())}, torch::kUInt8).clone();
  const torch::Tensor told = run.communicator.gather_rows(run.is_main_rank() ? own : own.slice(0, 0, 0));
  std::istringstream lines(std::string(reinterpret_cast<const char*>(told.const_data_ptr<std::uint8_t>()),
                                       static_cast<std::size_t>(told.numel())));
  Observed all;
  for (std::string name; std::getline(lines, name) && !name.empty();) {
    const auto found = local.find(name);
    all[name] = run.communicator.gather_rows(found != local.end() ? found->second
                                                                  : torch::zeros({0}, torch::kFloat64));
  }
  return all;
}

/// One row per name: the mean over inputs, with the values of all.
std::vector<spec::ResultRow> rows_of(const Observed& observed) {
  std::vector<spec::ResultRow> rows;
  for (const auto& [name, values] : observed) {
    if (values.numel() == 0) continue;
    rows.push_back(reading(name, values.mean().item<double>(), "value", false, values.numel()));
    const torch::Tensor all = values.to(torch::kFloat32).contiguous();
    const auto* first = all.const_data_ptr<float>();
    rows.back().per_query.assign(first, first + all.numel());
  }
  return rows;
}

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

void add_targets(const Targets& targets, const data::PreparedSet& set, std::int64_t begin, std::int64_t end,
                 attacks::AttackBatch& batch) {
  batch.target_labels = targets.labels.slice(0, begin, end).to(batch.inputs.device(), torch::kFloat32);
  const torch::Tensor items = targets.items.slice(0, begin, end).contiguous();
  batch.target_text = train::inputs_on(
      batch.inputs.device(), set, Modality::kText,
      std::span(items.const_data_ptr<std::int64_t>(), static_cast<std::size_t>(items.numel())));
}

/// Adversarial inputs of this rank's shard, in row order.
torch::Tensor perturb_shard(const JobRun& run, const CraftPlan& plan, const data::PreparedSet& set,
                            attacks::Attack& attack, const Limits& limits, PerturbationSizes& sizes,
                            Observed& observed) {
  const train::Slice shard =
      train::slice_of(static_cast<std::int64_t>(plan.rows.size()), run.attempt.rank, run.attempt.world);
  std::vector<torch::Tensor> crafted;
  std::vector<Observed> batches;
  for (std::int64_t begin = shard.begin; begin < shard.end; begin += kInputsPerBatch) {
    const std::int64_t end = std::min(begin + kInputsPerBatch, shard.end);
    const std::span rows(plan.rows.data() + begin, static_cast<std::size_t>(end - begin));
    const torch::Tensor clean = train::inputs_on(run.device, set, plan.modality, rows);
    attacks::AttackBatch batch{
        .inputs = clean, .labels = train::labels_of(set, rows).to(run.device), .rows = rows};
    if (plan.targets.labels.defined()) add_targets(plan.targets, set, begin, end, batch);
    const torch::Tensor adversarial = attack.perturb(batch).to(run.device);
    sizes.add(adversarial - clean);
    batches.push_back(attack.observed());
    if (plan.keeps_inputs()) batches.back()[kIllegal] = illegal(clean, adversarial, limits);
    crafted.push_back((plan.keeps_inputs() ? adversarial : adversarial - clean).cpu());
    run.progress.update(
        {.fraction = static_cast<double>(end - shard.begin) / static_cast<double>(shard.end - shard.begin),
         .phase = "craft"});
  }
  observed = joined(batches);
  if (!crafted.empty()) return torch::cat(crafted).contiguous();
  return train::inputs_of(set, plan.modality, {});
}

/// Queries and database items are kept as float32 inputs; training sets as int8 perturbations with one scale.
Result<Json> write_crafted(const std::filesystem::path& folder, const CraftPlan& plan,
                           const torch::Tensor& crafted, double linf) {
  GAUNTLET_CHECK_OK(write_tensor(folder / "rows.npy", torch::tensor(plan.rows, torch::kInt64)));
  if (plan.targets.labels.defined()) {
    GAUNTLET_CHECK_OK(write_tensor(folder / "targets.npy", plan.targets.labels));
    GAUNTLET_CHECK_OK(write_tensor(folder / "target_items.npy", plan.targets.items));
  }
  if (plan.keeps_inputs()) {
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
  GAUNTLET_TRY(const attacks::AttackEntry* entry, attacks::attack_registry().find(attempt.job.entry));
  if (entry->make == nullptr)
    return fail(ErrorCode::kInvalid, "attack '{}' crafts nothing", attempt.job.entry);
  GAUNTLET_TRY(const CraftPlan plan, read_plan(run, set, *entry));
  GAUNTLET_TRY(OpenSurface open, open_surface(run, set, *entry, plan.modality));
  std::int64_t queries_used = 0;
  if (entry->about.capabilities.trains) {
    GAUNTLET_TRY(const artifacts::Artifact trained, open_input(run, "attack", spec::JobKind::kTrainAttack));
    GAUNTLET_TRY(open.surface.weights, train::load_tensors(trained.file("attack.safetensors")));
    queries_used = trained.about.value("queries_used", std::int64_t{0});
  }
  const std::uint64_t seed =
      seed_of(run, fmt::format("attack/{}/{}", attempt.job.entry, name_of(plan.modality)));
  GAUNTLET_TRY(const auto attack,
               entry->make(run.config().value("attack", Json::object()), open.surface, seed));

  if (auto* const evading = dynamic_cast<attacks::Evading*>(attack.get());
      evading != nullptr && open.refusal) {
    evading->evade(open.refusal);
  }

  PerturbationSizes sizes;
  Observed local_observed;
  const torch::Tensor local =
      perturb_shard(run, plan, set, *attack, limits_of(run, open.surface), sizes, local_observed);
  const torch::Tensor crafted = run.communicator.gather_rows(local);
  run.communicator.all_reduce_sum_(sizes.sums);
  const torch::Tensor linf_of_ranks =
      run.communicator.gather_rows(torch::full({1}, sizes.linf, torch::kFloat64));
  sizes.linf = linf_of_ranks.max().item<double>();
  Observed observed = gathered(local_observed, run);
  if (!run.is_main_rank()) return worker::AttemptResult{};

  GAUNTLET_TRY(artifacts::Draft draft, attempt.store.begin(attempt.key));
  GAUNTLET_TRY(const Json about, write_crafted(draft.folder(), plan, crafted, sizes.linf));
  const std::vector<spec::ResultRow> noticed = rows_of(observed);
  observed.erase(kIllegal);  // not the attack's own
  if (!observed.empty())
    GAUNTLET_CHECK_OK(train::save_tensors(draft.folder() / "observed.safetensors", observed));
  GAUNTLET_TRY(const artifacts::Artifact artifact,
               attempt.store.publish(std::move(draft), attempt.job, attempt.key, about));
  worker::AttemptResult result{.rows = size_rows(sizes, crafted.size(0), plan.modality, queries_used),
                               .manifest_hash = artifact.manifest_hash};
  result.rows.insert(result.rows.end(), noticed.begin(), noticed.end());
  return result;
}

}  // namespace gauntlet::run
