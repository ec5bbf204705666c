#include "cli/support/bench_processes.hpp"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>
#include <utility>
#include <vector>

#include "cli/support/bench_disk.hpp"
#include "cli/support/bench_served.hpp"
#include "cli/support/options.hpp"
#include "cli/support/submission.hpp"
#include "cli/support/sweep_wait.hpp"
#include "core/base/files.hpp"
#include "core/base/program.hpp"
#include "worker/agent/machine.hpp"

namespace gauntlet::cli {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr Milliseconds kLimit{600'000};
constexpr Milliseconds kStopLimit{30'000};
constexpr Milliseconds kLook{50};  ///< between two questions whether a sweep is over; each costs a read
constexpr int kWarmUp = 50;        ///< jobs until executors run
constexpr int kRounds = 3;

/// Starts `true` and waits for it, so many times. False: it does not start.
bool spawn_in_turn(std::int64_t n_processes) {
  char name[] = "true";
  char* const words[] = {name, nullptr};
  for (std::int64_t at = 0; at < n_processes; ++at) {
    pid_t pid = 0;
    if (::posix_spawnp(&pid, name, nullptr, nullptr, words, environ) != 0) return false;
    if (::waitpid(pid, nullptr, 0) != pid) return false;
  }
  return true;
}

/// Seconds for `n_processes` between all processors.
Result<double> spawn_bare(std::int64_t n_processes, std::int64_t n_cpus) {
  std::atomic<bool> works{true};
  const auto start = SteadyClock::now();
  std::vector<std::thread> threads;
  for (std::int64_t cpu = 0; cpu < n_cpus; ++cpu) {
    threads.emplace_back([&, n = n_processes / n_cpus] {
      if (!spawn_in_turn(n)) works = false;
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (!works) return fail(ErrorCode::kIo, "the program 'true' cannot be started");
  return seconds_since(start);
}

/// A worker on the coordinator's folder.
Result<ChildProcess> start_worker(const std::filesystem::path& workdir) {
  return ChildProcess::start({{program_path().string(), "worker", "--workdir", workdir.string(), "--no-gpus",
                               "--drain-grace", "0", "--log-level", "error"},
                              workdir / "worker.out",
                              true});
}

/// Seconds from the submission of a sweep of so many jobs until the last result is on disk. `run` is the
/// program with its arguments, a YAML list; `n_before` of its jobs, those of an earlier sweep of the program,
/// are done.
Result<double> run_jobs(const Served& served, const std::filesystem::path& folder, std::string_view run,
                        std::int64_t n_jobs, std::int64_t n_before) {
  const auto path = folder / "processes.yaml";
  GAUNTLET_CHECK_OK(write_file_atomic(path, fmt::format("gauntlet: 1\nname: processes-{0}\n"
                                                        "command: {{jobs: {0}, run: {1}}}\n",
                                                        n_before + n_jobs, run)));
  GAUNTLET_TRY(const LoadedSweep sweep, load_sweep(path));
  GAUNTLET_TRY(client::Client client, client::Client::connect(served.endpoint()));
  const auto start = SteadyClock::now();
  GAUNTLET_TRY(const proto::SubmitReply reply, submit_sweep(client, sweep, 0));
  if (std::cmp_not_equal(reply.reused_jobs(), n_before))
    return fail(ErrorCode::kInternal, "{} jobs were there before, not {}", reply.reused_jobs(), n_before);
  while (true) {
    GAUNTLET_TRY(const proto::StatusReply status, request_status(client, reply.sweep_id()));
    GAUNTLET_TRY(const proto::SweepStatus seen, sweep_in(status, reply.sweep_id()));
    if (is_over(seen)) {
      GAUNTLET_CHECK_OK(verdict_of(seen));
      return seconds_since(start);
    }
    if (SteadyClock::now() - start > kLimit)
      return fail(ErrorCode::kTimedOut, "{} processes did not end within {} s", n_jobs,
                  kLimit.count() / 1000);
    std::this_thread::sleep_for(kLook);
  }
}

/// Jobs and bare starts in turns, each round of jobs between two of bare starts, since a machine that others
/// use as well is not equally fast for long.
Result<Json> measure_in_turns(const Served& served, const std::filesystem::path& folder,
                              std::int64_t n_jobs) {
  const std::int64_t n_cpus = worker::usable_cpus();
  const std::int64_t n_bare = n_jobs / 2 / n_cpus * n_cpus;
  GAUNTLET_CHECK_OK(run_jobs(served, folder, R"(["true", "warm-up"])", kWarmUp, 0));
  Json figures;
  GAUNTLET_CHECK_OK(settle_disk(folder, "process", figures));
  GAUNTLET_TRY(const CommitCount commits, CommitCount::begin(served));
  std::vector<double> jobs_per_s, spawns_per_s, ratios;
  GAUNTLET_TRY(double before, spawn_bare(n_bare, n_cpus));
  for (int round = 0; round < kRounds; ++round) {
    // Without an argument, as it is started bare: with one, GNU's `true` reads a locale first.
    GAUNTLET_TRY(const double seconds, run_jobs(served, folder, R"(["true"])", n_jobs, round * n_jobs));
    GAUNTLET_TRY(const double after, spawn_bare(n_bare, n_cpus));
    jobs_per_s.push_back(static_cast<double>(n_jobs) / seconds);
    spawns_per_s.push_back(static_cast<double>(2 * n_bare) / (before + after));
    ratios.push_back(100 * jobs_per_s.back() / spawns_per_s.back());
    before = after;
  }
  GAUNTLET_CHECK_OK(commits.end(served, kRounds * n_jobs, "process", figures));
  figures["process_jobs_per_s"] = percentile(jobs_per_s, 0.5);
  figures["spawns_per_s"] = percentile(spawns_per_s, 0.5);
  figures["process_ratio_percent"] = percentile(ratios, 0.5);
  return figures;
}

}  // namespace

Result<Json> measure_processes(const std::filesystem::path& folder, std::int64_t n_jobs) {
  const auto workdir = folder / "processes";
  GAUNTLET_CHECK_OK(make_directories(workdir));
  GAUNTLET_TRY(Served served, Served::start(workdir));
  GAUNTLET_TRY(ChildProcess worker, start_worker(workdir));
  Result<Json> figures = measure_in_turns(served, folder, n_jobs);
  worker.signal(SIGTERM);
  worker.wait_or_kill(kStopLimit);
  served.stop();
  return figures;
}

}  // namespace gauntlet::cli
