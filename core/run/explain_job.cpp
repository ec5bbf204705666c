#include "core/run/explain_job.hpp"

#include <algorithm>
#include <cmath>
#include <memory>

#include "core/data/query_draw.hpp"
#include "core/defenses/explainable.hpp"
#include "core/run/map_numbers.hpp"
#include "core/train/batches.hpp"
#include "core/train/device_batches.hpp"

namespace gauntlet::run {
namespace {

using torch::Tensor;

constexpr double kTopShare = 0.2;

/// What is shown: queries of the crafted set, as rows of the data set.
struct Shown {
  Modality modality = Modality::kImage;
  std::vector<std::int64_t> rows;
  Tensor clean, adversarial;  ///< [n, …] on the run's device
  Tensor labels;              ///< [n, C] 0/1
};

Result<std::vector<std::int64_t>> chosen_rows(const JobRun& run, std::span<const std::int64_t> all) {
  const Json queries = run.config().value("queries", Json(8));
  if (queries.is_array()) return queries.get<std::vector<std::int64_t>>();
  return data::draw_queries(all, queries.get<std::size_t>(), seed_of(run, data::kShownQueries));
}

Result<Shown> open_shown(const JobRun& run, const data::PreparedSet& set) {
  Shown shown;
  GAUNTLET_TRY(shown.modality, modality_from(run.config().value("modality", "")));
  GAUNTLET_TRY(const artifacts::Artifact crafted, open_input(run, "crafted", spec::JobKind::kCraft));
  GAUNTLET_TRY(const Tensor rows, read_tensor(crafted.file("rows.npy")));
  GAUNTLET_TRY(const Tensor inputs, read_tensor(crafted.file("inputs.npy")));
  if (inputs.size(0) != rows.numel()) {
    return fail(ErrorCode::kCorrupt, "{} holds {} inputs for {} rows", crafted.folder.string(),
                inputs.size(0), rows.numel());
  }
  const std::span all(rows.const_data_ptr<std::int64_t>(), static_cast<std::size_t>(rows.numel()));
  GAUNTLET_TRY(shown.rows, chosen_rows(run, all));
  GAUNTLET_TRY(const std::vector<std::int64_t> positions, data::positions_of(shown.rows, all));
  shown.adversarial = inputs.index_select(0, torch::tensor(positions, torch::kInt64)).to(run.device);
  shown.clean = train::inputs_on(run.device, set, shown.modality, shown.rows);
  shown.labels = train::labels_of(set, shown.rows).to(run.device);
  return shown;
}

/// [n, P]: places of an input, pixels or words.
Tensor by_place(const Tensor& maps) { return maps.flatten(1).cpu(); }

/// Per query, by name; NaN where there is nothing to measure.
using Numbers = std::vector<std::pair<std::string, std::vector<float>>>;

/// `on` adds a number for each query.
template <typename On>
void add(Numbers& numbers, std::string name, std::int64_t n, const On& on) {
  std::vector<float> values;
  for (std::int64_t query = 0; query < n; ++query) values.push_back(static_cast<float>(on(query)));
  numbers.emplace_back(std::move(name), std::move(values));
}

const defenses::BranchMap* find(const defenses::BranchMaps& maps, std::string_view name) {
  const auto found = std::ranges::find(maps.branches, name, &defenses::BranchMap::name);
  return found == maps.branches.end() ? nullptr : &*found;
}

/// Section 2.9 of the method's specification: do the branches look at different places, does the robust one
/// look at the same before and after the attack, does the vulnerable one look where the attack changed
/// something.
void add_map_numbers(const Shown& shown, const defenses::BranchMaps& before,
                     const defenses::BranchMaps& after, Numbers& numbers) {
  const std::int64_t n = shown.clean.size(0);
  const bool is_image = shown.clean.dim() == 4;
  const Tensor moved = (shown.adversarial - shown.clean).abs();
  const Tensor change = by_place(is_image ? moved.mean(1) : moved);
  // Of a text only the words count that it has, before or after.
  const Tensor candidates = is_image ? torch::ones_like(change, torch::kBool)
                                     : by_place((shown.clean != 0) | (shown.adversarial != 0));
  for (const defenses::BranchMap& branch : after.branches) {
    const Tensor on_adversarial = by_place(branch.map), on_clean = by_place(find(before, branch.name)->map);
    add(numbers, "heat_cosine_" + branch.name, n,
        [&](std::int64_t query) { return cosine_of(on_clean[query], on_adversarial[query]); });
    add(numbers, fmt::format("heat_{}_on_change", branch.name), n, [&](std::int64_t query) {
      return mass_on_change(on_adversarial[query], change[query], candidates[query]);
    });
  }
  const defenses::BranchMap* robust = find(after, "arf");
  const defenses::BranchMap* vulnerable = find(after, "avf");
  if (robust == nullptr || vulnerable == nullptr) return;
  const Tensor arf = by_place(robust->map), avf = by_place(vulnerable->map);
  add(numbers, "heat_iou", n, [&](std::int64_t query) {
    return overlap_of_top(arf[query], avf[query], candidates[query], kTopShare);
  });
  add(numbers, "heat_cosine_arf_avf", n,
      [&](std::int64_t query) { return cosine_of(arf[query], avf[query]); });
}

/// Bits of the clean query's undefended code that the attack turned, before and after the defense.
void add_flips(const JobRun& run, const Shown& shown, const LoadedModel& target, defenses::Pipeline& pipeline,
               Numbers& numbers) {
  const torch::NoGradGuard no_grad;
  const Tensor bare = target.model->encode(shown.modality, shown.clean) > 0;
  const auto flips = [&](const Tensor& code) { return (bare != (code > 0)).sum(1).cpu(); };
  const Tensor attacked = flips(target.model->encode(shown.modality, shown.adversarial));
  const std::int64_t n = shown.clean.size(0);
  add(numbers, "bits_flipped", n, [&](std::int64_t query) { return attacked[query].item<double>(); });
  if (run.attempt.job.entry == "none") return;
  const Tensor defended = flips(pipeline.encode_query(shown.modality, shown.adversarial));
  add(numbers, "bits_flipped_defended", n,
      [&](std::int64_t query) { return defended[query].item<double>(); });
}

/// Means over the queries that have the number; the better direction is the one the paper's claim needs. Each
/// query's own number stays in the artifact: those of rows are in the order of the whole query set.
std::vector<spec::ResultRow> rows_of(const Numbers& numbers) {
  std::vector<spec::ResultRow> rows;
  for (const auto& [name, values] : numbers) {
    double sum = 0;
    std::int64_t n = 0;
    for (const float value : values) {
      if (std::isnan(value)) continue;
      sum += value;
      ++n;
    }
    if (n == 0) continue;
    const bool is_count = name.starts_with("bits_");
    rows.push_back(reading(name, sum / static_cast<double>(n), is_count ? "count" : "ratio",
                           name == "heat_cosine_arf" || name == "heat_avf_on_change", n));
  }
  return rows;
}

Json about_of(const Shown& shown, std::int64_t bits, const defenses::BranchMaps& maps,
              const Numbers& numbers) {
  Json about = {{"modality", name_of(shown.modality)},
                {"n", shown.rows.size()},
                {"bits", bits},
                {"maps", Json::array()}};
  for (const defenses::BranchMap& branch : maps.branches) {
    about["maps"].push_back(branch.name);
    const Tensor absolute = branch.absolute.cpu();
    for (std::int64_t query = 0; query < absolute.size(0); ++query)
      about["absolute"][branch.name].push_back(absolute[query].item<bool>());
  }
  if (maps.side > 0) about["stage"] = {{"number", maps.stage}, {"side", maps.side}};
  for (const auto& [name, values] : numbers) {
    for (const float value : values)
      about["numbers"][name].push_back(std::isnan(value) ? Json() : Json(static_cast<double>(value)));
  }
  return about;
}

Status write_all(const std::filesystem::path& folder, const Shown& shown, const Tensor& purified,
                 const defenses::BranchMaps& before, const defenses::BranchMaps& after) {
  GAUNTLET_CHECK_OK(write_tensor(folder / "rows.npy", torch::tensor(shown.rows, torch::kInt64)));
  GAUNTLET_CHECK_OK(write_tensor(folder / "clean.npy", shown.clean));
  GAUNTLET_CHECK_OK(write_tensor(folder / "adversarial.npy", shown.adversarial));
  GAUNTLET_CHECK_OK(write_tensor(folder / "difference.npy", shown.adversarial - shown.clean));
  if (purified.defined()) GAUNTLET_CHECK_OK(write_tensor(folder / "purified.npy", purified));
  for (const defenses::BranchMap& branch : after.branches)
    GAUNTLET_CHECK_OK(write_tensor(folder / (branch.name + ".npy"), branch.map));
  for (const defenses::BranchMap& branch : before.branches)
    GAUNTLET_CHECK_OK(write_tensor(folder / (branch.name + "_clean.npy"), branch.map));
  return {};
}

/// What the defense makes of the adversarial inputs; undefined where it leaves them as they are.
Tensor purified_of(const Shown& shown, defenses::Pipeline& pipeline) {
  const torch::NoGradGuard no_grad;
  const Tensor purified = pipeline.purified(shown.modality, shown.adversarial);
  return torch::equal(purified, shown.adversarial) ? Tensor() : purified;
}

}  // namespace

Result<worker::AttemptResult> run_explain(const JobRun& run) {
  if (!run.is_main_rank()) return worker::AttemptResult{};  // a handful of queries
  const worker::AttemptContext& attempt = run.attempt;
  GAUNTLET_TRY(const data::PreparedSet set, open_data(run));
  GAUNTLET_TRY(const LoadedModel target, open_model(run));
  GAUNTLET_TRY(const Shown shown, open_shown(run, set));
  GAUNTLET_TRY(const auto pipeline,
               open_pipeline(run, attempt.job.entry, run.config().value("defense", Json::object()), target,
                             shown.modality));
  pipeline->use_draw(seed_of(run, "draws of the report"));

  defenses::BranchMaps before, after;
  Numbers numbers;
  if (auto* const explainable = dynamic_cast<defenses::Explainable*>(pipeline.get())) {
    const auto stage = run.config().value("stage", std::int64_t{0});
    GAUNTLET_TRY(before, explainable->branch_maps(shown.modality, shown.clean, shown.labels, stage));
    GAUNTLET_TRY(after, explainable->branch_maps(shown.modality, shown.adversarial, shown.labels, stage));
    add_map_numbers(shown, before, after, numbers);
  }
  add_flips(run, shown, target, *pipeline, numbers);

  GAUNTLET_TRY(artifacts::Draft draft, attempt.store.begin(attempt.key));
  GAUNTLET_CHECK_OK(write_all(draft.folder(), shown, purified_of(shown, *pipeline), before, after));
  GAUNTLET_TRY(const artifacts::Artifact artifact,
               attempt.store.publish(std::move(draft), attempt.job, attempt.key,
                                     about_of(shown, target.shape.code_bits, after, numbers)));
  return worker::AttemptResult{
      .rows = rows_of(numbers), .curves = {}, .manifest_hash = artifact.manifest_hash};
}

}  // namespace gauntlet::run
