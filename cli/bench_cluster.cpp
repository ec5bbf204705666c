// gauntlet bench cluster: a month of a large cluster in minutes, with the real engine and the real database.
#include <sys/resource.h>

#include <chrono>

#include "cli/support/bench_report.hpp"
#include "cli/support/bench_served.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/support/simulated_cluster.hpp"
#include "cli/verb.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  FolderOptions folder;
  ClusterOptions cluster;
  std::filesystem::path times;
  bool quick = false;
  bool json = false;
};

/// Mean hours of finished jobs of a database, where it has such jobs.
Status read_times(const std::filesystem::path& database, MeanHours& hours) {
  GAUNTLET_TRY(store::JobStore store, store::JobStore::open(database));
  GAUNTLET_TRY(const engine::RestoredRows rows, store.load());
  for (const engine::KindTime& time : rows.times) {
    if (time.n > 0)
      hours[static_cast<std::size_t>(time.kind)] = time.total_s / static_cast<double>(time.n) / 3600;
  }
  return {};
}

double share_of(const std::vector<float>& values, double share) {
  return values.empty() ? 0 : percentile(std::vector<double>(values.begin(), values.end()), share);
}

double file_bytes(const std::filesystem::path& path) {
  std::error_code error;
  const auto n_bytes = std::filesystem::file_size(path, error);
  return error ? 0 : static_cast<double>(n_bytes);
}

Result<Json> measure(const Options& options) {
  GAUNTLET_TRY(const ScratchFolder folder, ScratchFolder::make(options.folder.workdir));
  GAUNTLET_TRY(const auto cluster, SimulatedCluster::make(options.cluster, folder.path()));
  const auto start = std::chrono::steady_clock::now();
  GAUNTLET_CHECK_OK(cluster->run());
  const double wall_s = seconds_since(start);
  const ClusterFigures& figures = cluster->figures();
  ::rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const double span_s = options.cluster.days * 86400;
  const double per_heartbeat_s =
      figures.heartbeat_cpu_s / static_cast<double>(std::max<std::uint64_t>(1, figures.heartbeats));
  const double per_tick_s =
      figures.tick_cpu_s / static_cast<double>(std::max<std::uint64_t>(1, figures.ticks));
  // What a served coordinator has every second on top: heartbeats every 5 s and ten looks at the timers.
  const double beats_per_s = options.cluster.nodes / 5.0;
  const double bytes =
      file_bytes(folder.path() / "gauntlet.db") + file_bytes(folder.path() / "gauntlet.db-wal");
  return Json{
      {"nodes", options.cluster.nodes},
      {"gpus", options.cluster.nodes * options.cluster.gpus},
      {"days", options.cluster.days},
      {"wall_s", wall_s},
      {"jobs_submitted", figures.jobs_submitted},
      {"jobs_done", figures.jobs_done},
      {"jobs_failed", figures.jobs_failed},
      {"attempts", figures.attempts},
      {"node_failures", figures.losses},
      {"preemptions", figures.preemptions},
      {"utilization", figures.busy_gpu_s / figures.gpu_s},
      {"most_ready_jobs", figures.most_waiting},
      {"queue_wait_p50_s", share_of(figures.waits, 0.5)},
      {"queue_wait_p99_s", share_of(figures.waits, 0.99)},
      {"whole_node_wait_p50_s", share_of(figures.gang_waits, 0.5)},
      {"whole_node_wait_p99_s", share_of(figures.gang_waits, 0.99)},
      {"engine_cpu_s", figures.engine_cpu_s},
      {"store_cpu_s", figures.store_cpu_s},
      {"cpu_us_per_attempt", 1e6 * (figures.engine_cpu_s + figures.store_cpu_s) /
                                 static_cast<double>(std::max<std::uint64_t>(1, figures.attempts))},
      {"heartbeat_us", 1e6 * per_heartbeat_s},
      {"tick_us", 1e6 * per_tick_s},
      {"coordinator_cpu_percent_of_core", 100 * ((figures.engine_cpu_s + figures.store_cpu_s) / span_s +
                                                 beats_per_s * per_heartbeat_s + 10 * per_tick_s)},
      {"transactions", figures.transactions},
      {"rss_peak_mib", static_cast<double>(usage.ru_maxrss) / 1024},
      {"database_mib", bytes / 1048576},
      {"database_bytes_per_job", bytes / static_cast<double>(figures.jobs_submitted)}};
}

Result<int> run(Options& options) {
  if (!options.times.empty()) GAUNTLET_CHECK_OK(read_times(options.times, options.cluster.hours));
  if (options.quick) options.cluster.days = std::min(options.cluster.days, 2.0);
  GAUNTLET_TRY(const Json figures, measure(options));
  return report_figures("cluster", options.folder.workdir, figures, options.json);
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  options->folder.add_to(arguments);
  arguments.add_option("--nodes", options->cluster.nodes, "Simulated nodes (default 1000)")
      .number_between(1, 20'000);
  arguments
      .add_option("--gpus", options->cluster.gpus, "GPUs of each; 8 processors with each of them (default 8)")
      .number_between(1, 64);
  arguments.add_option("--days", options->cluster.days, "Simulated days (default 30)")
      .number_between(0.01, 366);
  arguments.add_option("--load", options->cluster.load, "GPU time asked for, of all there is (default 0.9)")
      .number_between(0.01, 2);
  arguments
      .add_option(
          "--times", options->times,
          "Database whose finished jobs say how long each kind takes; kinds it has not: prepare 0.5 h, "
          "train_model 8 h, train_attack 6 h, craft 1 h, train_defense 12 h, encode 0.2 h, evaluate 0.05 h, "
          "log-normal around these (the default of all)")
      .type_name("FILE");
  arguments.add_option("--seed", options->cluster.seed, "Of everything that is drawn (default 1)");
  arguments.add_flag("--quick", options->quick, "Two days at most");
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb bench_cluster_verb;
constinit const Verb bench_cluster_verb{
    .name = "bench cluster",
    .summary = "Simulate a month of a large cluster with the real scheduler and database",
    .examples =
        "  gauntlet bench cluster --nodes 1000 --gpus 8\n  gauntlet bench cluster --nodes 50 --quick "
        "--json\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
