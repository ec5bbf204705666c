#include "cli/support/bench_under_load.hpp"

#include <array>
#include <atomic>
#include <ctime>
#include <thread>

#include "cli/support/bench_agents.hpp"
#include "cli/support/bench_served.hpp"
#include "cli/support/page_client.hpp"
#include "results/query/query.hpp"

namespace gauntlet::cli {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr int kAgents = 8;
constexpr Milliseconds kLeaseLimit{60'000};
constexpr Milliseconds kPause{5};  ///< between two questions, as many viewers make them

/// What a question took: on the clock, and of this thread's processor time. The difference is waiting, for a
/// processor on a busy machine or for the disk.
struct Times {
  std::vector<double> ms;
  std::vector<double> cpu_ms;
};

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

/// Addresses of the page's data that one figure is about, asked in turn.
struct PageTarget {
  std::string name;  ///< of the figure
  std::vector<std::string> targets;
};

/// What the page's views ask for: all sweeps, the newest one (which runs), a finished one of the paper's
/// size.
std::vector<PageTarget> page_targets(const PaperDatabase& made) {
  const std::size_t done = made.sweeps.size() / 2 + 1;
  const std::size_t busy = made.sweeps.size() + 1;
  const auto table_of = [](std::size_t sweep) {
    return fmt::format("/api/table?sweep={}&metric=map", sweep);
  };
  // The coordinator repeats a table that it has just made, so each of these is of another sweep.
  std::vector<std::string> tables;
  for (std::size_t sweep = 1; sweep <= made.sweeps.size(); ++sweep)
    if (sweep != done) tables.push_back(table_of(sweep));
  return {{"status", {"/api/status"}},
          {"sweep", {fmt::format("/api/status?sweep={}", busy)}},
          {"jobs", {fmt::format("/api/jobs?sweep={}&limit=100", busy)}},
          {"jobs_of_state", {"/api/jobs?state=done&limit=100"}},
          {"jobs_by_text", {fmt::format("/api/jobs?sweep={}&text=train_model&limit=100", done)}},
          {"throughput", {fmt::format("/api/throughput?sweep={}", busy)}},
          {"metrics", {fmt::format("/api/metrics?sweep={}", done)}},
          {"table", tables.empty() ? std::vector{table_of(done)} : std::move(tables)},
          {"table_repeated", {table_of(done)}},
          {"curves", {fmt::format("/api/curves?sweep={}&name=pr:radius_micro", done)}}};
}

/// Asks for the page's data in turn until `end`; milliseconds by target.
Result<std::vector<std::vector<double>>> time_page(const std::filesystem::path& workdir,
                                                   const std::vector<PageTarget>& targets,
                                                   SteadyClock::time_point end) {
  GAUNTLET_TRY(PageClient page, PageClient::connect(workdir));
  std::vector<std::vector<double>> times(targets.size());
  for (std::size_t at = 0; SteadyClock::now() < end || at < targets.size(); ++at) {
    const std::vector<std::string>& addresses = targets[at % targets.size()].targets;
    const std::string& address = addresses[at / targets.size() % addresses.size()];
    const auto start = SteadyClock::now();
    GAUNTLET_CHECK_OK(page.get(address));
    times[at % targets.size()].push_back(1e3 * seconds_since(start));
    std::this_thread::sleep_for(kPause);
  }
  return times;
}

void add_page_figures(const std::vector<PageTarget>& targets, const std::vector<std::vector<double>>& times,
                      const std::string& suffix, Json& figures) {
  std::vector<double> all;
  for (std::size_t at = 0; at < targets.size(); ++at) {
    all.insert(all.end(), times[at].begin(), times[at].end());
    figures[fmt::format("page_{}{}_p99_ms", targets[at].name, suffix)] = percentile(times[at], 0.99);
  }
  figures[fmt::format("page{}_p50_ms", suffix)] = percentile(all, 0.5);
  figures[fmt::format("page{}_p99_ms", suffix)] = percentile(all, 0.99);
}

Result<Times> time_queries(const std::filesystem::path& database, const PaperDatabase& made,
                           SteadyClock::time_point end) {
  Times times;
  for (std::size_t at = 0; SteadyClock::now() < end || at == 0; ++at) {
    const double cpu_before = thread_cpu_ms();
    GAUNTLET_TRY(const double ms, time_query(database, made, at));
    times.ms.push_back(ms);
    times.cpu_ms.push_back(thread_cpu_ms() - cpu_before);
    std::this_thread::sleep_for(kPause);
  }
  return times;
}

/// No-op jobs per second of a quarter of the sweep, as fast as it goes.
Result<double> peak_rate(const Served& served, std::int64_t n_noops) {
  const auto credit = static_cast<std::uint32_t>(std::min<std::int64_t>(n_noops / kAgents / 16, 4096));
  GAUNTLET_TRY(BenchCrowd crowd, BenchCrowd::join(served.endpoint(), kAgents, credit));
  const std::int64_t n_quarter = n_noops / 4;
  GAUNTLET_TRY(const double seconds, crowd.drain(static_cast<std::uint64_t>(n_quarter)));
  return static_cast<double>(n_quarter) / seconds;
}

}  // namespace

double thread_cpu_ms() {
  ::timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return 1e3 * static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_nsec);
}

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

Status measure_under_load(const std::filesystem::path& workdir, const PaperDatabase& made, bool quick,
                          Json& figures) {
  const std::int64_t n_noops = quick ? 40'000 : 900'000;  // enough for the load that follows
  const std::chrono::seconds part(quick ? 1 : 8);
  GAUNTLET_TRY(Served served, Served::start(workdir));
  GAUNTLET_CHECK_OK(submit_noops(served, workdir, "noops", n_noops));
  const std::vector<PageTarget> targets = page_targets(made);
  GAUNTLET_TRY(const auto page_alone, time_page(workdir, targets, SteadyClock::now() + part / 2));
  add_page_figures(targets, page_alone, "", figures);
  GAUNTLET_TRY(const double peak, peak_rate(served, n_noops));
  figures["noop_jobs_per_s"] = peak;
  // Batches of about 20 ms of work, so that the load is steady.
  GAUNTLET_TRY(BenchAgent agent, BenchAgent::join(served.endpoint(), "steady",
                                                  std::max(1U, static_cast<std::uint32_t>(peak / 100))));
  std::atomic<bool> stop{false};
  Result<double> reached = 0.0;
  std::thread load([&] { reached = serve_at(agent, peak / 2, n_noops / 2, stop); });
  const auto queries = time_queries(workdir / "gauntlet.db", made, SteadyClock::now() + part);
  const auto page = time_page(workdir, targets, SteadyClock::now() + part);
  stop = true;
  load.join();
  if (!queries) return fail(queries.error());
  if (!page) return fail(page.error());
  GAUNTLET_TRY(figures["noop_jobs_per_s_beside_queries"], reached);
  figures["queries_under_load"] = queries->ms.size();
  figures["query_under_load_p50_ms"] = percentile(queries->ms, 0.5);
  figures["query_under_load_p99_ms"] = percentile(queries->ms, 0.99);
  figures["query_under_load_cpu_p99_ms"] = percentile(queries->cpu_ms, 0.99);
  add_page_figures(targets, *page, "_under_load", figures);
  served.stop();
  return {};
}

}  // namespace gauntlet::cli
