// gauntlet bench coordinator: what the coordinator does in a second, every acknowledgement on disk first.
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <thread>

#include "cli/support/bench_agents.hpp"
#include "cli/support/bench_disk.hpp"
#include "cli/support/bench_plan.hpp"
#include "cli/support/bench_processes.hpp"
#include "cli/support/bench_report.hpp"
#include "cli/support/bench_served.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/base/files.hpp"

namespace gauntlet::cli {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr Milliseconds kLeaseLimit{60'000};
constexpr int kAgents = 8;
constexpr int kManyAgents = 1000;

struct Options {
  FolderOptions folder;
  std::int64_t jobs = 1'000'000;
  bool quick = false;
  bool tls = false;
  bool json = false;
};

/// Leases in hand of an agent that executes nothing; all agents together hold a small part of the queue.
std::uint32_t credit_for(std::int64_t n_jobs, int n_agents) {
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(n_jobs / n_agents / 8, 1, 4096));
}

/// A line of /proc/<pid>/status in MiB; 0 when it cannot be read.
double memory_mib(pid_t pid, std::string_view key) {
  std::ifstream file(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key)) return std::strtod(line.c_str() + key.size() + 1, nullptr) / 1024;
  }
  return 0;
}

/// Seconds of processor time a process has used.
double cpu_seconds(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string text;
  std::getline(file, text);
  text.erase(0, text.rfind(')') + 2);  // the name may hold blanks
  std::istringstream fields(text);
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

/// Seconds in which the crowd does so many jobs; what they are read beside goes to figures[<name>_…].
Result<double> drain(const Served& served, BenchCrowd& crowd, std::uint64_t n_jobs,
                     const std::filesystem::path& folder, const std::string& name, Json& figures) {
  GAUNTLET_CHECK_OK(settle_disk(folder, name, figures));
  GAUNTLET_TRY(const CommitCount commits, CommitCount::begin(served));
  GAUNTLET_TRY(const double seconds, crowd.drain(n_jobs));
  GAUNTLET_CHECK_OK(commits.end(served, static_cast<std::int64_t>(n_jobs), name, figures));
  return seconds;
}

/// Submission, memory, throughput, recovery from SIGKILL half way.
Status measure_queue(const Options& options, const std::filesystem::path& folder, Json& figures) {
  const auto n_jobs = static_cast<std::uint64_t>(options.jobs);
  const auto workdir = folder / "queue";
  GAUNTLET_CHECK_OK(make_directories(workdir));
  GAUNTLET_TRY(Served served, Served::start(workdir));
  GAUNTLET_CHECK_OK(settle_disk(folder, "submit", figures));
  GAUNTLET_TRY(const CommitCount submission, CommitCount::begin(served));
  GAUNTLET_TRY(figures["submit_s"], submit_noops(served, folder, "queue", options.jobs));
  GAUNTLET_CHECK_OK(submission.end(served, options.jobs, "submit", figures));
  figures["rss_mib"] = memory_mib(served.pid(), "VmRSS");
  figures["rss_peak_mib"] = memory_mib(served.pid(), "VmHWM");

  note("draining\n");
  GAUNTLET_TRY(BenchCrowd first,
               BenchCrowd::join(served.endpoint(), kAgents, credit_for(options.jobs, kAgents)));
  const double cpu_before = cpu_seconds(served.pid());
  const std::uint64_t n_half = n_jobs / 2;
  GAUNTLET_TRY(const double half, drain(served, first, n_half, folder, "noop", figures));
  figures["cpu_us_per_job"] = 1e6 * (cpu_seconds(served.pid()) - cpu_before) / static_cast<double>(n_half);
  served.kill();
  const auto killed = SteadyClock::now();
  GAUNTLET_TRY(Served again, Served::start(workdir));
  GAUNTLET_TRY(BenchAgent agent, BenchAgent::join(again.endpoint(), "recovered", 1));
  GAUNTLET_TRY(const proto::LeaseBatch lease, agent.next_leases(kLeaseLimit));
  figures["recover_s"] = seconds_since(killed);
  GAUNTLET_CHECK_OK(agent.report_done(lease));
  figures["noop_jobs_per_s"] = static_cast<double>(n_half) / half;
  again.stop();
  return {};
}

/// No-op jobs per second of half a queue, as measure_queue drains it, by a coordinator with these options.
Result<double> measure_variant(const Options& options, const std::filesystem::path& folder,
                               const std::string& name, const std::vector<std::string>& served_with,
                               Json& figures) {
  const auto n_jobs = static_cast<std::uint64_t>(options.jobs);
  const auto workdir = folder / name;
  GAUNTLET_CHECK_OK(make_directories(workdir));
  GAUNTLET_TRY(Served served, Served::start(workdir, served_with));
  GAUNTLET_CHECK_OK(submit_noops(served, folder, name, options.jobs));
  GAUNTLET_TRY(BenchCrowd crowd,
               BenchCrowd::join(served.endpoint(), kAgents, credit_for(options.jobs, kAgents)));
  const std::uint64_t n_half = n_jobs / 2;
  GAUNTLET_TRY(const double half, drain(served, crowd, n_half, folder, name, figures));
  served.kill();
  return static_cast<double>(n_half) / half;
}

/// One job at a time: report and next lease share a commit.
Status measure_closed_loop(const Options& options, const std::filesystem::path& folder, Json& figures) {
  const auto workdir = folder / "loop";
  GAUNTLET_CHECK_OK(make_directories(workdir));
  GAUNTLET_TRY(Served served, Served::start(workdir));
  const int n_rounds = options.quick ? 500 : 5000;
  GAUNTLET_CHECK_OK(submit_noops(served, folder, "loop", n_rounds + 1));
  GAUNTLET_TRY(BenchAgent agent, BenchAgent::join(served.endpoint(), "loop", 1));
  GAUNTLET_TRY(proto::LeaseBatch lease, agent.next_leases(kLeaseLimit));
  GAUNTLET_CHECK_OK(settle_disk(folder, "closed_loop", figures));
  GAUNTLET_TRY(const CommitCount commits, CommitCount::begin(served));
  std::vector<double> rounds;
  for (int round = 0; round < n_rounds; ++round) {
    const auto start = SteadyClock::now();
    GAUNTLET_CHECK_OK(agent.report_done(lease));
    GAUNTLET_TRY(lease, agent.next_leases(kLeaseLimit));
    rounds.push_back(seconds_since(start) * 1e6);
  }
  figures["closed_loop_p50_us"] = percentile(rounds, 0.5);
  figures["closed_loop_p99_us"] = percentile(rounds, 0.99);
  GAUNTLET_CHECK_OK(commits.end(served, n_rounds, "closed_loop", figures));
  served.stop();
  return {};
}

/// From the moment a worker is gone until another has its job: one whose connection closes, in seconds, and
/// one that keeps it and says nothing, in heartbeats.
Status measure_lost_workers(const std::filesystem::path& folder, Json& figures) {
  const auto workdir = folder / "lost";
  GAUNTLET_CHECK_OK(make_directories(workdir));
  const Milliseconds heartbeat(1000);
  GAUNTLET_TRY(Served served,
               Served::start(workdir, {"--heartbeat-ms", fmt::format("{}", heartbeat.count())}));
  GAUNTLET_CHECK_OK(submit_noops(served, folder, "lost", 1));
  std::optional<BenchAgent> closed;
  GAUNTLET_TRY(closed, BenchAgent::join(served.endpoint(), "closed", 1));
  GAUNTLET_CHECK_OK(closed->next_leases(kLeaseLimit));
  GAUNTLET_TRY(BenchAgent silent, BenchAgent::join(served.endpoint(), "silent", 1));
  auto gone = SteadyClock::now();
  closed.reset();
  GAUNTLET_CHECK_OK(silent.next_leases(kLeaseLimit));
  figures["lost_closed_s"] = seconds_since(gone);
  GAUNTLET_CHECK_OK(silent.heartbeat());
  gone = SteadyClock::now();
  // Whoever takes over must not become silent itself: it comes when two heartbeats are missed.
  std::this_thread::sleep_for(2 * heartbeat);
  GAUNTLET_TRY(BenchAgent next, BenchAgent::join(served.endpoint(), "next", 1));
  GAUNTLET_TRY(const proto::LeaseBatch lease, next.next_leases(kLeaseLimit));
  figures["lost_silent_heartbeats"] = seconds_since(gone) / std::chrono::duration<double>(heartbeat).count();
  GAUNTLET_CHECK_OK(next.report_done(lease));
  served.stop();
  return {};
}

Status measure_crowd(const Options& options, const std::filesystem::path& folder, Json& figures) {
  const auto workdir = folder / "crowd";
  GAUNTLET_CHECK_OK(make_directories(workdir));
  // None sends heartbeats until all have joined; a busy machine may take longer than a worker may be silent.
  GAUNTLET_TRY(Served served, Served::start(workdir, {"--heartbeat-ms", "60000"}));
  const int n_agents = options.quick ? kManyAgents / 10 : kManyAgents;
  const std::int64_t n_jobs = options.jobs / 4;
  GAUNTLET_TRY(BenchCrowd crowd, BenchCrowd::join(served.endpoint(), n_agents, credit_for(n_jobs, n_agents)));
  const Milliseconds rest(options.quick ? 2000 : 10000);
  const double before = cpu_seconds(served.pid());
  GAUNTLET_CHECK_OK(crowd.idle(rest, Milliseconds(5000)));
  figures["idle_cpu_percent_of_core"] =
      100 * (cpu_seconds(served.pid()) - before) / std::chrono::duration<double>(rest).count();
  GAUNTLET_CHECK_OK(submit_noops(served, folder, "crowd", n_jobs));
  GAUNTLET_TRY(const double seconds,
               drain(served, crowd, static_cast<std::uint64_t>(n_jobs), folder, "1000_agents", figures));
  figures["noop_jobs_per_s_1000_agents"] = static_cast<double>(n_jobs) / seconds;
  served.stop();
  return {};
}

Result<Json> measure(const Options& options) {
  GAUNTLET_TRY(const ScratchFolder scratch, ScratchFolder::make(options.folder.workdir));
  Json figures = {{"jobs", options.jobs}, {"agents", kAgents}};
  // First what a machine at rest shows: after a million jobs its disk has more to write back than this
  // system knows of, and a processor that is lent has been used up.
  note("one job at a time\n");
  GAUNTLET_CHECK_OK(measure_closed_loop(options, scratch.path(), figures));
  note("workers that are gone\n");
  GAUNTLET_CHECK_OK(measure_lost_workers(scratch.path(), figures));
  note("one process per job\n");
  GAUNTLET_TRY(const Json processes, measure_processes(scratch.path(), options.quick ? 200 : 20'000));
  figures.update(processes);
  note("submitting\n");
  GAUNTLET_CHECK_OK(measure_queue(options, scratch.path(), figures));
  if (options.tls) {
    note("the same over TLS\n");
    GAUNTLET_TRY(const double jobs_per_s,
                 measure_variant(options, scratch.path(), "tls", {"--tls"}, figures));
    figures["noop_jobs_per_s_tls"] = jobs_per_s;
    figures["tls_loss_percent"] = 100 * (1 - jobs_per_s / figures["noop_jobs_per_s"].get<double>());
  }
  note("the same with commits that take 5 ms longer\n");
  GAUNTLET_TRY(figures["noop_jobs_per_s_slow_disk"],
               measure_variant(options, scratch.path(), "slow_disk", {"--commit-delay-ms", "5"}, figures));
  note("planning\n");
  GAUNTLET_TRY(const Json plan, measure_plan(scratch.path(), options.jobs));
  figures.update(plan);
  note("a thousand agents\n");
  GAUNTLET_CHECK_OK(measure_crowd(options, scratch.path(), figures));
  return figures;
}

Result<int> run(Options& options) {
  if (options.quick) options.jobs = std::min<std::int64_t>(options.jobs, 20'000);
  GAUNTLET_TRY(const Json figures, measure(options));
  return report_figures("coordinator", options.folder.workdir, figures, options.json);
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  options->folder.add_to(arguments);
  arguments.add_option("--jobs", options->jobs, "No-op jobs to queue (default 1,000,000)")
      .number_between(1000, 10'000'000);
  arguments.add_flag("--quick", options->quick, "20,000 jobs and 100 agents: a few seconds");
  arguments.add_flag("--tls", options->tls, "Also over TLS: its throughput, and what it loses by it");
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb bench_coordinator_verb;
constinit const Verb bench_coordinator_verb{
    .name = "bench coordinator",
    .summary = "Measure the coordinator: every acknowledgement on disk before it is given",
    .examples = "  gauntlet bench coordinator\n  gauntlet bench coordinator --quick --tls --json\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
