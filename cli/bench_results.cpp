// gauntlet bench results: tables and questions on a database of a million jobs, alone and beside a busy
// coordinator.
#include <array>
#include <atomic>
#include <ctime>
#include <thread>

#include "cli/support/bench_agents.hpp"
#include "cli/support/bench_report.hpp"
#include "cli/support/bench_served.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/support/paper_database.hpp"
#include "cli/verb.hpp"
#include "results/query/query.hpp"
#include "results/table/pivot.hpp"
#include "results/table/render.hpp"

namespace gauntlet::cli {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr int kAgents = 8;
constexpr Milliseconds kLeaseLimit{60'000};

struct Options {
  FolderOptions folder;
  std::int64_t jobs = 1'000'000;
  bool quick = false;
  bool json = false;
};

/// The tables of the paper: defenses under attack, benign queries, ablation.
constexpr std::array kTables = {
    "gauntlet_table: 1\ntitle: Table 2\nmetric: [map, t_map]\nfilter: {attack: [eqb2a, ta_dch], variant: "
    "''}\n"
    "rows: [[dataset], [attack], [defense]]\ncolumns: [[metric], [model], [direction]]\nscale: percent\n",
    "gauntlet_table: 1\ntitle: Table 3\nmetric: map\nfilter: {attack: none, variant: ''}\n"
    "rows: [[dataset], [defense]]\ncolumns: [[model], [direction]]\nscale: percent\n",
    "gauntlet_table: 1\ntitle: Table 4\nmetric: [map, t_map]\n"
    "filter: {attack: ta_dch, model: cpah, defense: drfgd}\n"
    "rows: [[dataset], [defense, variant]]\ncolumns: [[metric], [direction]]\nscale: percent\n"};

/// What a question took: on the clock, and of this thread's processor time. The difference is waiting, for a
/// processor on a busy machine or for the disk.
struct Times {
  std::vector<double> ms;
  std::vector<double> cpu_ms;
};

double thread_cpu_ms() {
  ::timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return 1e3 * static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_nsec);
}

/// Milliseconds of one table, from opening the database to its text.
Result<double> time_table(const std::filesystem::path& database, std::string_view yaml,
                          const std::string& sweep) {
  GAUNTLET_TRY(results::TableSpec spec, results::parse_table_spec(yaml, "bench"));
  spec.filter["sweep"] = {sweep};
  const auto start = SteadyClock::now();
  GAUNTLET_TRY(const results::Table table, results::make_table(database, spec));
  const std::string text = results::render(table, results::Format::kMarkdown);
  const double ms = 1e3 * seconds_since(start);
  if (!table.missing.empty() || text.empty())
    return fail(ErrorCode::kInternal, "{} of {} lacks {} numbers", spec.title, sweep, table.missing.size());
  return ms;
}

Status measure_tables(const std::filesystem::path& database, const PaperDatabase& made, Json& figures) {
  Times first;
  std::vector<double> all;
  for (std::size_t at = 0; at < made.sweeps.size(); at += std::max<std::size_t>(1, made.sweeps.size() / 30)) {
    double sum = 0;
    for (const char* yaml : kTables) {
      const double cpu_before = thread_cpu_ms();
      GAUNTLET_TRY(const double ms, time_table(database, yaml, made.sweeps[at]));
      sum += ms;
      if (yaml != kTables.front()) continue;
      first.ms.push_back(ms);
      first.cpu_ms.push_back(thread_cpu_ms() - cpu_before);
    }
    all.push_back(sum);
  }
  figures["table_1m_ms"] = percentile(first.ms, 0.5);
  figures["table_1m_p99_ms"] = percentile(first.ms, 0.99);
  figures["table_1m_cpu_ms"] = percentile(first.cpu_ms, 0.5);
  figures["tables_1m_s"] = percentile(all, 0.5) / 1e3;
  return {};
}

/// What people and dashboards ask, over and over, each from opening the database to its text: the numbers of
/// some cells, one cell's progress, what the last events were.
Result<double> time_query(const std::filesystem::path& database, const PaperDatabase& made, std::size_t at) {
  const std::string& sweep = made.sweeps[at * 7919 % made.sweeps.size()];
  results::QueryOptions options;
  options.format = results::OutputFormat::kJson;
  options.limit = 100;
  const auto start = SteadyClock::now();
  const Result<std::string> text =
      at % 3 == 0
          ? results::run_where(
                database,
                fmt::format("sweep='{}' and defense=drfgd and dataset=mscoco and metric=map", sweep), options)
      : at % 3 == 1
          ? results::run_query(
                database,
                fmt::format("SELECT dataset, model, defense, sum(n_done), sum(n_jobs) FROM v_cells WHERE "
                            "sweep = '{}' AND dataset = 'nuswide' GROUP BY 1, 2, 3",
                            sweep),
                options)
          : results::run_query(database, "SELECT * FROM events ORDER BY event_id DESC LIMIT 50", options);
  if (!text) return fail(text.error());
  return 1e3 * seconds_since(start);
}

Status measure_queries(const std::filesystem::path& database, const PaperDatabase& made, bool quick,
                       Json& figures) {
  std::vector<double> times;
  for (std::size_t at = 0; at < (quick ? 60 : 600); ++at) {
    GAUNTLET_TRY(const double ms, time_query(database, made, at));
    times.push_back(ms);
  }
  figures["query_1m_p50_ms"] = percentile(times, 0.5);
  figures["query_1m_p99_ms"] = percentile(times, 0.99);
  // The same question over all sweeps at once: every cell is looked at.
  results::QueryOptions options;
  const auto start = SteadyClock::now();
  GAUNTLET_CHECK_OK(results::run_where(
      database, "defense=drfgd and dataset=mscoco and metric=map and attack=none and seed=1", options));
  figures["query_all_sweeps_1m_ms"] = 1e3 * seconds_since(start);
  return {};
}

/// Serves leases at a given rate until told to stop or nothing is left; jobs per second that it reached.
Result<double> serve_at(BenchAgent& agent, double jobs_per_s, std::int64_t n_left,
                        const std::atomic<bool>& stop) {
  const auto start = SteadyClock::now();
  std::int64_t n_done = 0;
  while (!stop && n_done < n_left) {
    GAUNTLET_TRY(const proto::LeaseBatch leases, agent.next_leases(kLeaseLimit));
    GAUNTLET_CHECK_OK(agent.report_done(leases));
    n_done += leases.leases_size();
    std::this_thread::sleep_until(
        start + std::chrono::duration_cast<SteadyClock::duration>(
                    std::chrono::duration<double>(static_cast<double>(n_done) / jobs_per_s)));
  }
  return static_cast<double>(n_done) / seconds_since(start);
}

Status measure_load(const Options& options, const std::filesystem::path& workdir, const PaperDatabase& made,
                    Json& figures) {
  const std::int64_t n_noops = options.quick ? 40'000 : 600'000;  // enough for the load that follows
  GAUNTLET_TRY(Served served, Served::start(workdir));
  GAUNTLET_CHECK_OK(submit_noops(served, workdir, "noops", n_noops));
  double peak = 0;
  {
    const auto credit = static_cast<std::uint32_t>(std::min<std::int64_t>(n_noops / kAgents / 16, 4096));
    GAUNTLET_TRY(BenchCrowd crowd, BenchCrowd::join(served.endpoint(), kAgents, credit));
    GAUNTLET_TRY(const double seconds, crowd.drain(static_cast<std::uint64_t>(n_noops / 4)));
    peak = static_cast<double>(n_noops / 4) / seconds;
  }
  figures["noop_jobs_per_s"] = peak;
  // Batches of about 20 ms of work, so that the load is steady.
  GAUNTLET_TRY(BenchAgent agent, BenchAgent::join(served.endpoint(), "steady",
                                                  std::max(1U, static_cast<std::uint32_t>(peak / 100))));
  std::atomic<bool> stop{false};
  Result<double> reached = 0.0;
  std::thread load([&] { reached = serve_at(agent, peak / 2, n_noops / 2, stop); });
  Times times;
  Status asked;
  const auto end = SteadyClock::now() + std::chrono::seconds(options.quick ? 1 : 8);
  for (std::size_t at = 0; asked && SteadyClock::now() < end; ++at) {
    const double cpu_before = thread_cpu_ms();
    const Result<double> ms = time_query(workdir / "gauntlet.db", made, at);
    if (ms) {
      times.ms.push_back(*ms);
      times.cpu_ms.push_back(thread_cpu_ms() - cpu_before);
    } else {
      asked = fail(ms.error());
    }
    std::this_thread::sleep_for(Milliseconds(5));
  }
  stop = true;
  load.join();
  GAUNTLET_CHECK_OK(asked);
  GAUNTLET_TRY(figures["noop_jobs_per_s_beside_queries"], reached);
  figures["queries_under_load"] = times.ms.size();
  figures["query_under_load_p50_ms"] = percentile(times.ms, 0.5);
  figures["query_under_load_p99_ms"] = percentile(times.ms, 0.99);
  figures["query_under_load_cpu_p99_ms"] = percentile(times.cpu_ms, 0.99);
  served.stop();
  return {};
}

Result<Json> measure(const Options& options) {
  GAUNTLET_TRY(const ScratchFolder scratch, ScratchFolder::make(options.folder.workdir));
  const std::filesystem::path database = scratch.path() / "gauntlet.db";
  note("making the database\n");
  const auto start = SteadyClock::now();
  GAUNTLET_TRY(const PaperDatabase made,
               make_paper_database(database, options.jobs, [&](std::int64_t n_jobs) {
                 if (can_animate()) note(fmt::format("\r{} of {} jobs\x1b[K", n_jobs, options.jobs));
               }));
  Json figures = {
      {"jobs", made.n_jobs}, {"sweeps", made.sweeps.size()},         {"cells", made.n_cells},
      {"rows", made.n_rows}, {"rows_with_readings", made.n_queries}, {"generate_s", seconds_since(start)}};
  figures["database_mib"] = static_cast<double>(std::filesystem::file_size(database)) / (1U << 20U);
  note("tables\n");
  GAUNTLET_CHECK_OK(measure_tables(database, made, figures));
  note("queries\n");
  GAUNTLET_CHECK_OK(measure_queries(database, made, options.quick, figures));
  note("queries beside a busy coordinator\n");
  GAUNTLET_CHECK_OK(measure_load(options, scratch.path(), made, figures));
  return figures;
}

Result<int> run(Options& options) {
  if (options.quick) options.jobs = std::min<std::int64_t>(options.jobs, 20'000);
  GAUNTLET_TRY(const Json figures, measure(options));
  return report_figures("results", options.folder.workdir, figures, options.json);
}

Action declare(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  options->folder.add_to(app);
  app.add_option("--jobs", options->jobs, "Jobs of the database (default 1,000,000)")
      ->check(number_between(1000, 10'000'000));
  app.add_flag("--quick", options->quick, "20,000 jobs: a few seconds");
  add_json(app, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb bench_results_verb;
constinit const Verb bench_results_verb{
    .name = "bench results",
    .summary = "Measure tables and queries on a database of a million jobs, also beside a busy coordinator",
    .examples = "  gauntlet bench results\n  gauntlet bench results --quick --json\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
