#include "cli/support/simulated_mix.hpp"

#include "core/base/check.hpp"
#include "core/base/json.hpp"

namespace gauntlet::cli {
namespace {

using spec::JobKind;

constexpr std::uint32_t kMostModels = 11;
constexpr int kDefenses = 2;
constexpr std::array<std::pair<std::uint32_t, std::int64_t>, 4> kGangs = {
    {{50, 1}, {75, 2}, {90, 4}, {100, 8}}};

class Study {
 public:
  Study(std::uint64_t number, std::int64_t gpus_per_node, RandomStream& random)
      : number_(number), gpus_per_node_(gpus_per_node), random_(random) {
    submission_.name = fmt::format("study {}", number);
    submission_.spec_text = fmt::format("gauntlet: 1\nname: study {}\n", number);
    submission_.spec_path = "study.yaml";
    submission_.revision = "simulated";
    submission_.metrics = "{}";
  }

  store::Submission take() {
    const JobKey data = add(JobKind::kPrepare, 0, 8, {});
    const std::uint32_t n_models = 1 + random_.below(kMostModels);
    for (std::uint32_t model = 0; model < n_models; ++model) add_model(data, model);
    return std::move(submission_);
  }

 private:
  void add_model(const JobKey& data, std::uint32_t number) {
    model_ = fmt::format("model {}", number);
    defense_ = "none";
    const std::int64_t gang = draw_gang();
    const JobKey model = add(JobKind::kTrainModel, gang, 4 * gang, {{"data", data}});
    const JobKey attack = add(JobKind::kTrainAttack, 1, 4, {{"data", data}, {"model", model}});
    const JobKey image = add(JobKind::kCraft, 1, 4, {{"attack", attack}, {"data", data}, {"model", model}});
    const JobKey text = add(JobKind::kCraft, 1, 4, {{"attack", attack}, {"data", data}, {"model", model}});
    evaluate(data, model, {}, image, text);
    for (int defense = 0; defense < kDefenses; ++defense) {
      defense_ = fmt::format("defense {}", defense);
      const JobKey trained = add(JobKind::kTrainDefense, gang, 4 * gang, {{"data", data}, {"model", model}});
      evaluate(data, model, trained, image, text);
    }
  }

  /// Codes of both kinds of queries, and a cell for each.
  void evaluate(const JobKey& data, const JobKey& model, const JobKey& defense, const JobKey& image,
                const JobKey& text) {
    for (const auto& [direction, crafted] : {std::pair("i2t", image), std::pair("t2i", text)}) {
      std::vector<spec::JobInput> inputs = {{"crafted", crafted}, {"data", data}};
      if (defense != JobKey{}) inputs.push_back({"defense", defense});
      inputs.push_back({"model", model});
      const JobKey codes = add(JobKind::kEncode, 1, 4, inputs);
      const JobKey done = add(JobKind::kEvaluate, 0, 4, {{"data", data}, {"query_codes", codes}});
      store::SubmittedCell cell;
      cell.cell = {.dataset = "simulated",
                   .model = model_,
                   .bits = 32,
                   .defense = defense_,
                   .attack = "simulated",
                   .protocol = "static",
                   .direction = direction,
                   .variant = "",
                   .seed = 1};
      cell.jobs = {{codes, "encode"}, {done, "evaluate"}};
      cell.metrics = {"map", "recall", "t_map"};
      submission_.cells.push_back(std::move(cell));
    }
  }

  std::int64_t draw_gang() {
    const std::uint32_t percent = random_.below(100);
    for (const auto& [below, gpus] : kGangs) {
      if (percent < below) return std::min(gpus, gpus_per_node_);
    }
    return 1;
  }

  JobKey add(JobKind kind, std::int64_t gpus, std::int64_t cpus, std::vector<spec::JobInput> inputs) {
    spec::JobSpec job;
    job.kind = kind;
    job.config = {{"study", number_}, {"step", submission_.jobs.size()}};
    job.inputs = std::move(inputs);
    store::SubmittedJob& made = submission_.jobs.emplace_back();
    const Result<std::string> text = canonical_json(spec::canonical_form(job));
    const Result<JobKey> key = spec::key_of(job);
    GAUNTLET_CHECK(text.has_value() && key.has_value());
    made.key = *key;
    made.canonical = *text;
    made.title = fmt::format("{} of study {}", spec::name_of(kind), number_);
    made.resources = {.cpus = cpus, .gpus = gpus, .memory_mb = 8192};
    for (const spec::JobInput& input : job.inputs) made.needs.push_back(input.key);
    return made.key;
  }

  std::uint64_t number_;
  std::int64_t gpus_per_node_;
  RandomStream& random_;
  store::Submission submission_;
  std::string model_;
  std::string defense_;
};

double& at(MeanHours& hours, JobKind kind) { return hours[static_cast<std::size_t>(kind)]; }

}  // namespace

MeanHours default_hours() {
  MeanHours hours{};
  at(hours, JobKind::kPrepare) = 0.5;
  at(hours, JobKind::kTrainModel) = 8;
  at(hours, JobKind::kTrainAttack) = 6;
  at(hours, JobKind::kCraft) = 1;
  at(hours, JobKind::kTrainDefense) = 12;
  at(hours, JobKind::kEncode) = 0.2;
  at(hours, JobKind::kEvaluate) = 0.05;
  return hours;
}

store::Submission simulated_study(std::uint64_t number, std::int64_t gpus_per_node, RandomStream& random) {
  return Study(number, gpus_per_node, random).take();
}

double mean_gpu_hours(const MeanHours& hours, std::int64_t gpus_per_node) {
  MeanHours copy = hours;
  double gang = 0;
  std::uint32_t before = 0;
  for (const auto& [below, gpus] : kGangs) {
    gang += static_cast<double>(below - before) / 100 * static_cast<double>(std::min(gpus, gpus_per_node));
    before = below;
  }
  const double model =
      gang * (at(copy, JobKind::kTrainModel) + kDefenses * at(copy, JobKind::kTrainDefense)) +
      at(copy, JobKind::kTrainAttack) + 2 * at(copy, JobKind::kCraft) +
      2 * (1 + kDefenses) * at(copy, JobKind::kEncode);
  return model * (1 + kMostModels) / 2;
}

}  // namespace gauntlet::cli
