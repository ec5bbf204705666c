#include "core/run/bench_ddp.hpp"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <map>

#include "core/collective/communicator.hpp"
#include "core/defenses/defense.hpp"
#include "core/models/weights.hpp"
#include "core/run/noise_pairs.hpp"
#include "core/train/batches.hpp"
#include "core/train/seeding.hpp"

namespace gauntlet::run {
namespace {

using collective::Communicator;

constexpr int kTimeoutS = 120;

/// How the processes of a measurement divide the work.
enum class Work : std::uint8_t {
  kShared,      ///< ranks of one training: a share of each batch each
  kHalfBatch,   ///< trainings that know nothing of each other, at half the batch
  kWholeBatch,  ///< the same at the whole batch
};

/// Who trains: `ranks` of one training, and `processes` that are measured at the same time.
struct Team {
  Work work = Work::kShared;
  Communicator& processes;
  Communicator& ranks;  ///< the same, or of this process alone
  /// Of a batch, what this process's training has of it.
  [[nodiscard]] std::int64_t size(std::int64_t whole) const {
    return work == Work::kHalfBatch ? whole / 2 : whole;
  }
};

/// Of one process: pairs of its training's batch per second, and its own processor seconds per pair.
struct Speed {
  double pairs_per_s = 0;
  double cpu_s_per_pair = 0;
};

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - wall_).count();
  }
  [[nodiscard]] Speed speed_of(std::int64_t n_pairs) const {
    const auto n = static_cast<double>(n_pairs);
    return {n / seconds(), (cpu_seconds() - cpu_) / n};
  }

 private:
  std::chrono::steady_clock::time_point wall_ = std::chrono::steady_clock::now();
  double cpu_ = cpu_seconds();
};

/// Steps for about so many seconds; all processes take as many. The first two warm up.
Speed speed_of_steps(Communicator& processes, std::int64_t n_pairs, double seconds,
                     const std::function<void()>& step) {
  for (int warm = 0; warm < 2; ++warm) step();
  const Stopwatch first;
  step();
  torch::Tensor n_steps = torch::full({1}, seconds / first.seconds(), torch::kFloat64);
  processes.broadcast_(n_steps);
  const auto n = std::max<std::int64_t>(2, n_steps.to(torch::kInt64).item<std::int64_t>());
  const Stopwatch watch;
  for (std::int64_t at = 0; at < n; ++at) step();
  return watch.speed_of(n * n_pairs);
}

Result<Speed> speed_of_model(std::string_view name, const Team& team, double seconds) {
  Communicator& ranks = team.ranks;
  GAUNTLET_TRY(const models::ModelEntry* entry, models::model_registry().find(name));
  Json config = settings_of(entry->about);
  if (config.contains("proxy_epochs")) config["proxy_epochs"] = 1;
  const NoisePairs pairs;
  train::seed_weights(1);
  GAUNTLET_TRY(const auto model, entry->make(config, kNoiseShape, &ranks));
  GAUNTLET_TRY(
      const auto training,
      entry->make_training(config, model, {.labels = pairs.labels, .seed = 1, .communicator = &ranks}));
  training->begin(1'000'000);
  const std::int64_t size = team.size(std::min(training->batch_size(), kNoisePairs));
  const train::Slice own = train::slice_of(size, ranks.rank(), ranks.world_size());
  const models::TrainingBatch batch{
      pairs.images.slice(0, own.begin, own.end), pairs.text.slice(0, own.begin, own.end),
      pairs.labels.slice(0, own.begin, own.end), torch::arange(own.begin, own.end)};
  if (config.contains("proxy_epochs")) {  // proxies, then their export; hashing is what takes the time
    for (int stage = 0; stage < 2; ++stage) {
      training->step(batch);
      training->end_epoch();
    }
  }
  return speed_of_steps(team.processes, size, seconds, [&] { training->step(batch); });
}

/// DRFGD trains in one call: epochs after the first.
Result<Speed> speed_of_drfgd(const Team& team, double seconds) {
  constexpr std::int64_t kEpochs = 100;
  const std::int64_t n_pairs = team.size(96);
  Communicator& ranks = team.ranks;
  GAUNTLET_TRY(const models::ModelEntry* target, models::model_registry().find("cpah"));
  GAUNTLET_TRY(const defenses::DefenseEntry* entry, defenses::defense_registry().find("drfgd"));
  const NoisePairs pairs;
  train::seed_weights(1);
  GAUNTLET_TRY(const auto model, target->make(settings_of(target->about), kNoiseShape, &ranks));
  model->eval();
  for (torch::Tensor& parameter : model->parameters()) parameter.requires_grad_(false);
  defenses::DefenseTraining setup;
  setup.modality = Modality::kImage;
  setup.model = model;
  setup.shape = kNoiseShape;
  setup.inputs = pairs.pictures.slice(0, 0, n_pairs);
  setup.crafted = torch::randint(-127, 128, setup.inputs.sizes(), torch::kChar);
  setup.crafted_scale = 8.0 / 255 / 127;
  setup.labels = pairs.labels.slice(0, 0, n_pairs);
  setup.train_labels = pairs.labels;
  setup.train_codes_image =
      torch::randint(0, 2, {kNoisePairs, kNoiseShape.code_bits}).to(torch::kFloat32) * 2 - 1;
  setup.train_codes_text =
      torch::randint(0, 2, {kNoisePairs, kNoiseShape.code_bits}).to(torch::kFloat32) * 2 - 1;
  setup.seed = 1;
  setup.communicator = &ranks;
  Json config = short_settings_of(entry->about, kEpochs);
  config["batch"] = team.size(config.at("batch").get<std::int64_t>());
  struct Enough {};
  std::optional<Stopwatch> watch;
  Speed speed;
  setup.on_epoch = [&](std::int64_t epoch, std::int64_t, const auto&, double) {
    if (epoch == 1) watch.emplace();
    torch::Tensor is_over = torch::full({1}, epoch > 1 && watch->seconds() > seconds ? 1 : 0);
    if (epoch > 1) speed = watch->speed_of((epoch - 1) * n_pairs);
    team.processes.broadcast_(is_over);
    if (is_over.item<float>() > 0) throw Enough();
  };
  try {
    const auto trained = entry->train(config, std::move(setup));
    if (!trained) return fail(trained.error());
  } catch (const Enough&) {
  }
  return speed;
}

/// A process's whole life: measures, writes its Speed to `pipe`.
[[noreturn]] void be_process(std::string_view name, Work work, const std::string& meeting, std::int64_t rank,
                             std::int64_t n_processes, double seconds, int pipe) {
  train::set_threads(1);
  const auto alone = collective::make_solo_communicator();
  auto met = n_processes == 1 ? Result<std::unique_ptr<Communicator>>(collective::make_solo_communicator())
                              : collective::make_gloo_communicator(meeting, rank, n_processes, kTimeoutS);
  const auto measured = [&]() -> Result<Speed> {
    if (!met) return fail(met.error());
    const Team team{work, **met, work == Work::kShared ? **met : *alone};
    return name == "drfgd" ? speed_of_drfgd(team, seconds) : speed_of_model(name, team, seconds);
  };
  int code = 1;
  if (const Result<Speed> speed = measured(); !speed) {
    fmt::print(stderr, "{}\n", speed.error().message);
  } else {
    (*met)->barrier();
    code = ::write(pipe, &*speed, sizeof(Speed)) == sizeof(Speed) ? 0 : 1;
  }
  ::_exit(code);
}

/// Pairs per second of all processes, and the processor seconds that they spend per pair.
Result<Speed> speed_of(std::string_view name, Work work, std::int64_t n_processes, double seconds) {
  const auto meeting = std::filesystem::temp_directory_path() / fmt::format("gauntlet-ddp-{}", ::getpid());
  std::error_code ignored;
  std::filesystem::remove(meeting, ignored);
  int ends[2];
  if (::pipe(ends) != 0) return fail(ErrorCode::kIo, "no pipe can be made: errno {}", errno);
  std::fflush(nullptr);
  std::vector<pid_t> children;
  for (std::int64_t rank = 0; rank < n_processes; ++rank) {
    const pid_t child = ::fork();
    if (child == 0) be_process(name, work, meeting.string(), rank, n_processes, seconds, ends[1]);
    children.push_back(child);
  }
  ::close(ends[1]);
  // Ranks that share a batch count the same pairs, each with its own processor time; others their own pairs.
  const auto n = static_cast<double>(n_processes);
  const double of_rate = work == Work::kShared ? 1 / n : 1, of_cpu = work == Work::kShared ? 1 : 1 / n;
  Speed all;
  std::int64_t n_told = 0;
  for (Speed one; ::read(ends[0], &one, sizeof one) == sizeof one; ++n_told) {
    all.pairs_per_s += one.pairs_per_s * of_rate;
    all.cpu_s_per_pair += one.cpu_s_per_pair * of_cpu;
  }
  ::close(ends[0]);
  for (const pid_t child : children) ::waitpid(child, nullptr, 0);
  std::filesystem::remove(meeting, ignored);
  if (n_told == n_processes) return all;
  return fail(ErrorCode::kInternal, "{} of {} processes that train {} ended without a figure",
              n_processes - n_told, n_processes, name);
}

double median_of(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

/// A figure's values, by repetition.
using Series = std::map<std::string, std::vector<double>>;

/// What the figures are made of, in the order of their measurement.
struct Arrangement {
  Work work;
  std::int64_t n_processes;
};
constexpr std::array<Arrangement, 4> kArrangements{
    {{Work::kShared, 1}, {Work::kShared, 2}, {Work::kHalfBatch, 2}, {Work::kWholeBatch, 2}}};

void add_figures(std::string_view name, const std::array<Speed, 4>& speeds, Series& series) {
  const auto& [alone, together, half_batch, whole_batch] = speeds;
  const auto add = [&](std::string_view figure, double value) {
    series[fmt::format(fmt::runtime(figure), name)].push_back(value);
  };
  const auto efficiency = [&](const Speed& of) { return of.pairs_per_s / (2 * alone.pairs_per_s); };
  const auto cpu_efficiency = [&](const Speed& of) { return alone.cpu_s_per_pair / of.cpu_s_per_pair; };
  add("{}_1_pairs_per_s", alone.pairs_per_s);
  add("{}_2_pairs_per_s", together.pairs_per_s);
  add("ddp_efficiency_2_{}", efficiency(together));
  add("ddp_cpu_efficiency_2_{}", cpu_efficiency(together));
  add("independent_half_batch_efficiency_2_{}", efficiency(half_batch));
  add("independent_half_batch_cpu_efficiency_2_{}", cpu_efficiency(half_batch));
  add("independent_whole_batch_efficiency_2_{}", efficiency(whole_batch));
  add("ddp_of_independent_half_batch_2_{}", together.pairs_per_s / half_batch.pairs_per_s);
}

/// One loop; every repetition begins with another arrangement.
Status measure(std::string_view name, int n_repetitions, double seconds, Json& figures) {
  Series series;
  for (int repetition = 0; repetition < n_repetitions; ++repetition) {
    std::array<Speed, kArrangements.size()> speeds;
    for (std::size_t turn = 0; turn < kArrangements.size(); ++turn) {
      const std::size_t place = (turn + static_cast<std::size_t>(repetition)) % kArrangements.size();
      const Arrangement& arrangement = kArrangements[place];
      GAUNTLET_TRY(speeds[place], speed_of(name, arrangement.work, arrangement.n_processes, seconds));
    }
    add_figures(name, speeds, series);
  }
  for (const auto& [figure, values] : series) figures[figure] = median_of(values);
  return {};
}

}  // namespace

Result<Json> bench_ddp(const DdpBench& bench) {
  Json figures = Json::object();
  for (const char* name : {"cpah", "dadh", "daph", "dcmh", "drfgd"}) {
    if (!bench.loop.empty() && bench.loop != name) continue;
    if (bench.on_figure) bench.on_figure(name);
    GAUNTLET_CHECK_OK(measure(name, bench.quick ? 3 : 7, bench.quick ? 1 : 2, figures));
  }
  if (!figures.empty()) return figures;
  return fail(ErrorCode::kInvalid, "there is no loop '{}'; allowed: cpah, dadh, daph, dcmh, drfgd",
              bench.loop);
}

}  // namespace gauntlet::run
