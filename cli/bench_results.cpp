// gauntlet bench results: tables and questions on a database of a million jobs, alone and beside a busy
// coordinator.
#include <array>

#include "cli/support/bench_report.hpp"
#include "cli/support/bench_served.hpp"
#include "cli/support/bench_under_load.hpp"
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
  std::vector<double> first;
  std::vector<double> first_cpu;
  std::vector<double> all;
  for (std::size_t at = 0; at < made.sweeps.size(); at += std::max<std::size_t>(1, made.sweeps.size() / 30)) {
    double sum = 0;
    for (const char* yaml : kTables) {
      const double cpu_before = thread_cpu_ms();
      GAUNTLET_TRY(const double ms, time_table(database, yaml, made.sweeps[at]));
      sum += ms;
      if (yaml != kTables.front()) continue;
      first.push_back(ms);
      first_cpu.push_back(thread_cpu_ms() - cpu_before);
    }
    all.push_back(sum);
  }
  figures["table_1m_ms"] = percentile(first, 0.5);
  figures["table_1m_p99_ms"] = percentile(first, 0.99);
  figures["table_1m_cpu_ms"] = percentile(first_cpu, 0.5);
  figures["tables_1m_s"] = percentile(all, 0.5) / 1e3;
  return {};
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
  note("queries and the page beside a busy coordinator\n");
  GAUNTLET_CHECK_OK(measure_under_load(scratch.path(), made, options.quick, figures));
  return figures;
}

Result<int> run(Options& options) {
  if (options.quick) options.jobs = std::min<std::int64_t>(options.jobs, 20'000);
  GAUNTLET_TRY(const Json figures, measure(options));
  return report_figures("results", options.folder.workdir, figures, options.json);
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  options->folder.add_to(arguments);
  arguments.add_option("--jobs", options->jobs, "Jobs of the database (default 1,000,000)")
      .number_between(1000, 10'000'000);
  arguments.add_flag("--quick", options->quick, "20,000 jobs: a few seconds");
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb bench_results_verb;
constinit const Verb bench_results_verb{
    .name = "bench results",
    .summary =
        "Measure tables, queries and the page on a database of a million jobs, also beside a busy "
        "coordinator",
    .examples = "  gauntlet bench results\n  gauntlet bench results --quick --json\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
