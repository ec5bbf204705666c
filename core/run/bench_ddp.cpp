#include "core/run/bench_ddp.hpp"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <span>

#include "core/base/descriptor.hpp"
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
constexpr double kTurnS = 0.6;  ///< of models

/// How the processes of a measurement divide the work.
enum class Work : std::uint8_t {
  kShared,      ///< ranks of one training: a share of each batch each
  kHalfBatch,   ///< trainings that know nothing of each other, at half the batch
  kWholeBatch,  ///< the same at the whole batch
};

/// Of a batch, what a process's training has of it.
std::int64_t size_for(Work work, std::int64_t whole) { return work == Work::kHalfBatch ? whole / 2 : whole; }

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

/// A process's end of its line to the program that measures: turns come, figures go.
class Line {
 public:
  explicit Line(int socket) : socket_(socket) {}
  /// Sleeps until it is this process's turn; false when there are no more.
  [[nodiscard]] bool wait_for_turn() const {
    char turn = 0;
    return ::recv(socket_, &turn, 1, 0) == 1;
  }
  void tell(const Speed& speed) const { ::send(socket_, &speed, sizeof speed, MSG_NOSIGNAL); }

 private:
  int socket_;
};

/// Turns of about so many seconds; ranks of one training take equally many steps. The first turn warms up.
void take_turns(const Line& line, Communicator& ranks, std::int64_t n_pairs, double seconds,
                const std::function<void()>& step) {
  for (int warm = 0; warm < 2; ++warm) step();
  const Stopwatch first;
  step();
  torch::Tensor n_steps = torch::full({1}, seconds / first.seconds(), torch::kFloat64);
  ranks.broadcast_(n_steps);
  const auto n = std::max<std::int64_t>(2, n_steps.to(torch::kInt64).item<std::int64_t>());
  line.tell({});
  while (line.wait_for_turn()) {
    const Stopwatch watch;
    for (std::int64_t at = 0; at < n; ++at) step();
    line.tell(watch.speed_of(n * n_pairs));
  }
}

Status train_model(std::string_view name, Work work, Communicator& ranks, double seconds, const Line& line) {
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
  const std::int64_t size = size_for(work, std::min(training->batch_size(), kNoisePairs));
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
  take_turns(line, ranks, size, seconds, [&] { training->step(batch); });
  return {};
}

/// DRFGD trains in one call: a turn is an epoch of four steps.
Status train_drfgd(Work work, Communicator& ranks, const Line& line) {
  constexpr std::int64_t kEpochs = 1000;
  const std::int64_t n_pairs = size_for(work, 96);
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
  config["batch"] = size_for(work, config.at("batch").get<std::int64_t>());
  struct Enough {};
  std::optional<Stopwatch> watch;
  setup.on_epoch = [&](std::int64_t, std::int64_t, const auto&, double) {
    line.tell(watch ? watch->speed_of(n_pairs) : Speed{});
    if (!line.wait_for_turn()) throw Enough();
    watch.emplace();
  };
  try {
    const auto trained = entry->train(config, std::move(setup));
    if (!trained) return fail(trained.error());
  } catch (const Enough&) {
  }
  return {};
}

/// Who is measured together.
struct Arrangement {
  Work work;
  std::int64_t n_processes;
};
constexpr std::array<Arrangement, 4> kArrangements{
    {{Work::kShared, 1}, {Work::kShared, 2}, {Work::kHalfBatch, 2}, {Work::kWholeBatch, 2}}};

/// A process's whole life: at its first turn it meets its gang and warms up, at the others it trains.
[[noreturn]] void be_process(std::string_view name, const Arrangement& of, const std::string& meeting,
                             std::int64_t rank, double seconds, const Line& line) {
  if (!line.wait_for_turn()) ::_exit(0);
  train::set_threads(1);
  const bool has_gang = of.work == Work::kShared && of.n_processes > 1;
  auto ranks = has_gang ? collective::make_gloo_communicator(meeting, rank, of.n_processes, kTimeoutS)
                        : Result<std::unique_ptr<Communicator>>(collective::make_solo_communicator());
  const auto trained = [&]() -> Status {
    if (!ranks) return fail(ranks.error());
    if (name == "drfgd") return train_drfgd(of.work, **ranks, line);
    return train_model(name, of.work, **ranks, seconds, line);
  }();
  if (!trained) fmt::print(stderr, "{}\n", trained.error().message);
  ::_exit(trained ? 0 : 1);
}

/// The processes of an arrangement. They sleep between turns.
class Troupe {
 public:
  Troupe() = default;
  /// Ends the processes: their lines are closed, which the others' copies must not keep open.
  ~Troupe() {
    sockets_.clear();
    for (const pid_t process : processes_) ::waitpid(process, nullptr, 0);
  }
  Troupe(const Troupe&) = delete;
  Troupe& operator=(const Troupe&) = delete;

  /// `others` are those that have been started before.
  [[nodiscard]] Status start(std::string_view name, const Arrangement& of, double seconds,
                             std::span<Troupe> others) {
    of_ = of;
    const auto meeting = std::filesystem::temp_directory_path() / fmt::format("gauntlet-ddp-{}", ::getpid());
    std::error_code ignored;
    std::filesystem::remove(meeting, ignored);
    std::fflush(nullptr);
    for (std::int64_t rank = 0; rank < of.n_processes; ++rank) {
      int ends[2];
      if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return fail(ErrorCode::kIo, "no line to a process can be made: errno {}", errno);
      Descriptor own(ends[0]), theirs(ends[1]);
      const pid_t process = ::fork();
      if (process == 0) {
        own = Descriptor();
        sockets_.clear();
        for (Troupe& other : others) other.sockets_.clear();
        be_process(name, of, meeting.string(), rank, seconds, Line(theirs.get()));
      }
      if (process < 0) return fail(ErrorCode::kIo, "no process can be made: errno {}", errno);
      processes_.push_back(process);
      sockets_.push_back(std::move(own));
    }
    const auto warm = turn(name);
    std::filesystem::remove(meeting, ignored);
    return warm ? Status() : fail(warm.error());
  }

  /// Pairs per second of all processes, and the processor seconds that they spend per pair.
  [[nodiscard]] Result<Speed> turn(std::string_view name) const {
    for (const Descriptor& socket : sockets_) ::send(socket.get(), "", 1, MSG_NOSIGNAL);
    // Ranks that share a batch count the same pairs, each with its own processor time; others their own
    // pairs.
    const auto n = static_cast<double>(of_.n_processes);
    const bool shares = of_.work == Work::kShared;
    Speed all;
    for (const Descriptor& socket : sockets_) {
      Speed one;
      if (::recv(socket.get(), &one, sizeof one, MSG_WAITALL) != sizeof one)
        return fail(ErrorCode::kInternal, "a process that trains {} ended without a figure", name);
      all.pairs_per_s += shares ? one.pairs_per_s / n : one.pairs_per_s;
      all.cpu_s_per_pair += shares ? one.cpu_s_per_pair : one.cpu_s_per_pair / n;
    }
    return all;
  }

 private:
  Arrangement of_ = kArrangements.front();
  std::vector<Descriptor> sockets_;
  std::vector<pid_t> processes_;
};

double median_of(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

/// A figure's values, by repetition.
using Series = std::map<std::string, std::vector<double>>;

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
  add("ddp_of_independent_whole_batch_2_{}", together.pairs_per_s / whole_batch.pairs_per_s);
}

/// One loop. All processes are there from the beginning and take short turns, each repetition in another
/// order: what else a machine does changes within seconds.
Status measure(std::string_view name, int n_repetitions, double seconds, Json& figures) {
  std::array<Troupe, kArrangements.size()> troupes;
  for (std::size_t place = 0; place < troupes.size(); ++place) {
    const std::span<Troupe> others = std::span(troupes).first(place);
    GAUNTLET_CHECK_OK(troupes[place].start(name, kArrangements[place], seconds, others));
  }
  Series series;
  for (int repetition = 0; repetition < n_repetitions; ++repetition) {
    std::array<Speed, kArrangements.size()> speeds;
    for (std::size_t turn = 0; turn < troupes.size(); ++turn) {
      const std::size_t place = (turn + static_cast<std::size_t>(repetition)) % troupes.size();
      GAUNTLET_TRY(speeds[place], troupes[place].turn(name));
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
    GAUNTLET_CHECK_OK(measure(name, bench.quick ? 5 : 15, kTurnS, figures));
  }
  if (!figures.empty()) return figures;
  return fail(ErrorCode::kInvalid, "there is no loop '{}'; allowed: cpah, dadh, daph, dcmh, drfgd",
              bench.loop);
}

}  // namespace gauntlet::run
