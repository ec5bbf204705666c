#include "core/run/bench_ddp.hpp"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

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

/// Of one rank: pairs of the global batch per second, and its own processor seconds per pair.
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

/// Steps for about so many seconds; all ranks take as many. The first two warm up.
Speed speed_of_steps(Communicator& ranks, std::int64_t n_pairs, double seconds,
                     const std::function<void()>& step) {
  for (int warm = 0; warm < 2; ++warm) step();
  const Stopwatch first;
  step();
  torch::Tensor n_steps = torch::full({1}, seconds / first.seconds(), torch::kFloat64);
  ranks.broadcast_(n_steps);
  const auto n = std::max<std::int64_t>(2, n_steps.to(torch::kInt64).item<std::int64_t>());
  const Stopwatch watch;
  for (std::int64_t at = 0; at < n; ++at) step();
  return watch.speed_of(n * n_pairs);
}

Result<Speed> speed_of_model(std::string_view name, Communicator& ranks, double seconds) {
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
  const std::int64_t size = std::min(training->batch_size(), kNoisePairs);
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
  return speed_of_steps(ranks, size, seconds, [&] { training->step(batch); });
}

/// DRFGD trains in one call: epochs after the first.
Result<Speed> speed_of_drfgd(Communicator& ranks, double seconds) {
  constexpr std::int64_t kPairs = 96, kEpochs = 100;
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
  setup.inputs = pairs.pictures.slice(0, 0, kPairs);
  setup.crafted = torch::randint(-127, 128, setup.inputs.sizes(), torch::kChar);
  setup.crafted_scale = 8.0 / 255 / 127;
  setup.labels = pairs.labels.slice(0, 0, kPairs);
  setup.train_labels = pairs.labels;
  setup.train_codes_image =
      torch::randint(0, 2, {kNoisePairs, kNoiseShape.code_bits}).to(torch::kFloat32) * 2 - 1;
  setup.train_codes_text =
      torch::randint(0, 2, {kNoisePairs, kNoiseShape.code_bits}).to(torch::kFloat32) * 2 - 1;
  setup.seed = 1;
  setup.communicator = &ranks;
  struct Enough {};
  std::optional<Stopwatch> watch;
  Speed speed;
  setup.on_epoch = [&](std::int64_t epoch, std::int64_t, const auto&, double) {
    if (epoch == 1) watch.emplace();
    torch::Tensor is_over = torch::full({1}, epoch > 1 && watch->seconds() > seconds ? 1 : 0);
    if (epoch > 1) speed = watch->speed_of((epoch - 1) * kPairs);
    ranks.broadcast_(is_over);
    if (is_over.item<float>() > 0) throw Enough();
  };
  try {
    const auto trained = entry->train(short_settings_of(entry->about, kEpochs), std::move(setup));
    if (!trained) return fail(trained.error());
  } catch (const Enough&) {
  }
  return speed;
}

Result<Speed> speed_of(std::string_view name, Communicator& ranks, double seconds) {
  return name == "drfgd" ? speed_of_drfgd(ranks, seconds) : speed_of_model(name, ranks, seconds);
}

/// A rank's whole life: measures, writes its Speed to `pipe`.
[[noreturn]] void be_rank(std::string_view name, const std::string& meeting, std::int64_t rank,
                          std::int64_t world_size, double seconds, int pipe) {
  train::set_threads(1);
  auto ranks = world_size == 1 ? Result<std::unique_ptr<Communicator>>(collective::make_solo_communicator())
                               : collective::make_gloo_communicator(meeting, rank, world_size, kTimeoutS);
  int code = 1;
  if (!ranks) {
    fmt::print(stderr, "{}\n", ranks.error().message);
  } else if (const Result<Speed> speed = speed_of(name, **ranks, seconds); !speed) {
    fmt::print(stderr, "{}\n", speed.error().message);
  } else {
    (*ranks)->barrier();
    code = ::write(pipe, &*speed, sizeof(Speed)) == sizeof(Speed) ? 0 : 1;
  }
  ::_exit(code);
}

/// The gang's pairs per second, and the processor seconds per pair of all ranks together.
Result<Speed> speed_of_gang(std::string_view name, std::int64_t world_size, double seconds) {
  const auto meeting = std::filesystem::temp_directory_path() / fmt::format("gauntlet-ddp-{}", ::getpid());
  std::error_code ignored;
  std::filesystem::remove(meeting, ignored);
  int ends[2];
  if (::pipe(ends) != 0) return fail(ErrorCode::kIo, "no pipe can be made: errno {}", errno);
  std::fflush(nullptr);
  std::vector<pid_t> children;
  for (std::int64_t rank = 0; rank < world_size; ++rank) {
    const pid_t child = ::fork();
    if (child == 0) be_rank(name, meeting.string(), rank, world_size, seconds, ends[1]);
    children.push_back(child);
  }
  ::close(ends[1]);
  Speed sum;
  std::int64_t n_told = 0;
  for (Speed one; ::read(ends[0], &one, sizeof one) == sizeof one; ++n_told) {
    sum.pairs_per_s += one.pairs_per_s / static_cast<double>(world_size);
    sum.cpu_s_per_pair += one.cpu_s_per_pair;
  }
  ::close(ends[0]);
  for (const pid_t child : children) ::waitpid(child, nullptr, 0);
  std::filesystem::remove(meeting, ignored);
  if (n_told == world_size) return sum;
  return fail(ErrorCode::kInternal, "{} of {} ranks that train {} ended without a figure",
              world_size - n_told, world_size, name);
}

double median_of(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

/// One loop; the order of the two sizes changes with every repetition.
Status measure(std::string_view name, int n_repetitions, double seconds, Json& figures) {
  std::vector<double> alone, together, efficiency, cpu_efficiency;
  for (int repetition = 0; repetition < n_repetitions; ++repetition) {
    Speed speeds[2];
    for (const int turn : {0, 1}) {
      const int place = (turn + repetition) % 2;
      GAUNTLET_TRY(speeds[place], speed_of_gang(name, place + 1, seconds));
    }
    alone.push_back(speeds[0].pairs_per_s);
    together.push_back(speeds[1].pairs_per_s);
    efficiency.push_back(speeds[1].pairs_per_s / (2 * speeds[0].pairs_per_s));
    cpu_efficiency.push_back(speeds[0].cpu_s_per_pair / speeds[1].cpu_s_per_pair);
  }
  figures[fmt::format("{}_1_pairs_per_s", name)] = median_of(alone);
  figures[fmt::format("{}_2_pairs_per_s", name)] = median_of(together);
  figures[fmt::format("ddp_efficiency_2_{}", name)] = median_of(efficiency);
  figures[fmt::format("ddp_cpu_efficiency_2_{}", name)] = median_of(cpu_efficiency);
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
